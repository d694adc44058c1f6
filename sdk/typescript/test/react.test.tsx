import assert from "node:assert/strict";
import { after, afterEach, beforeEach, test } from "node:test";
import { JSDOM } from "jsdom";
import { GenerationError, type OllamaNet } from "../src/index.js";
import { useOllamaNetChat, type UseOllamaNetChat } from "../src/react.js";
import { COMPLETED, Platform, accepted, completed, frame, json, stream, token, until as eventually, written } from "./platform.js";

const { window } = new JSDOM('<div id="root"></div>');
const browser = { window, document: window.document, navigator: window.navigator, IS_REACT_ACT_ENVIRONMENT: true };
for (const [name, value] of Object.entries(browser)) Object.defineProperty(globalThis, name, { value, configurable: true });
const { StrictMode, act } = await import("react");
const { createRoot } = await import("react-dom/client");
type Root = import("react-dom/client").Root;

let platform: Platform;
let client: OllamaNet;
let root: Root;
let chat: UseOllamaNetChat;
let drawn: string[];

beforeEach(async () => {
  platform = await Platform.start();
  client = platform.client({ apiKey: "k" });
  root = createRoot(window.document.getElementById("root") as HTMLElement);
  drawn = [];
});
afterEach(async () => {
  await act(async () => root.unmount());
  await platform.stop();
});
after(() => window.close());

function Page({ chatId }: { chatId?: string | undefined }) {
  chat = useOllamaNetChat(client, { model: "small", ...(chatId === undefined ? {} : { chatId }) });
  drawn.push(chat.messages.map((one) => one.content).join("|"));
  return <p>{`${chat.status}: ${chat.messages.map((one) => `${one.role} ${one.status} ${one.content}`).join(", ")}`}</p>;
}

const shows = async (chatId?: string) => act(async () => root.render(<Page chatId={chatId} />));
const seen = () => window.document.querySelector("p")?.textContent;

/** Draw until the page shows this. */
const until = (fact: () => boolean) => eventually(fact, () => act(() => new Promise<void>((resolve) => setTimeout(resolve, 2))));

test("a question and its reply are drawn as they come", async () => {
  const { answer, write } = written();
  platform.answers.push(answer);
  await shows();
  assert.equal(seen(), "ready: ");
  let sent: Promise<void> | undefined;
  await act(async () => void (sent = chat.send("Why?")));
  assert.equal(seen(), "waiting: user complete Why?, assistant waiting ");
  write(accepted + frame("queued", { position: 2, eta_ms: 900 }));
  await until(() => chat.queue !== undefined);
  assert.deepEqual([chat.queue, chat.chatId], [{ position: 2, etaMs: 900 }, "c1"]);
  assert.deepEqual(chat.messages.map((one) => one.id), ["m1", "r1"]);
  write(frame("started", { attempt: 1, model: "small", backend: "one" }, "1-1") + token("Be", "1-2"));
  await until(() => chat.status === "streaming");
  assert.deepEqual([seen(), chat.queue], ["streaming: user complete Why?, assistant streaming Be", undefined]);
  write(token("cause", "1-3") + completed("1-4"));
  await act(async () => sent);
  assert.equal(seen(), "ready: user complete Why?, assistant complete Because");
  assert.equal(chat.messages[1]?.usage?.output_tokens, 2);
});

test("the next question goes into the same chat", async () => {
  for (let n = 0; n < 2; n++) platform.answers.push(stream([accepted, completed("1-1")]));
  await shows();
  for (const content of ["Why?", "And?"]) await act(() => chat.send(content));
  assert.deepEqual(platform.asked.map((one) => JSON.parse(one.body).chat_id), [undefined, "c1"]);
});

test("a cut is resumed and what is void disappears", async () => {
  platform.answers.push(
    stream([accepted, token("wrong", "1-1")], "cut"),
    stream([frame("restarted", { attempt: 2, reason: "worker_lost" }), token("right", "2-1"), completed("2-2")]),
  );
  await shows();
  await act(() => chat.send("Why?"));
  assert.equal(seen(), "ready: user complete Why?, assistant complete right");
  assert.ok(!drawn.some((one) => one.includes("wrongright")));
});

test("a failure is drawn, with its code, and the next question clears it", async () => {
  platform.answers.push(
    stream([accepted, token("Be", "1-1"), frame("failed", { code: "backend_cut", message: "It stopped.", retryable: true }, "1-2")]),
    stream([accepted, completed("1-1")]),
  );
  await shows();
  await act(() => chat.send("Why?"));
  assert.equal(seen(), "error: user complete Why?, assistant failed Be");
  assert.ok(chat.error instanceof GenerationError);
  assert.deepEqual([chat.error.code, chat.error.partialText], ["backend_cut", "Be"]);
  await act(() => chat.send("And?"));
  assert.deepEqual([chat.status, chat.error], ["ready", undefined]);
});

test("stop cancels, also before the platform has answered", async () => {
  const { answer, write } = written();
  platform.answers.push(answer, json({}, 202));
  await shows();
  let sent: Promise<void> | undefined;
  await act(async () => void (sent = chat.send("Why?")));
  await act(() => chat.stop());
  write(accepted);
  await until(() => platform.asked.length === 2);
  assert.equal(platform.asked[1]?.url, "/api/generations/g1/cancel");
  write(frame("cancelled", { usage: COMPLETED.usage }, "1-1"));
  await act(async () => sent);
  assert.equal(seen(), "ready: user complete Why?, assistant cancelled ");
});

test("leaving detaches: the connection closes and nothing is cancelled", async () => {
  const { answer, write, ended } = written();
  platform.answers.push(answer);
  await shows();
  await act(async () => void chat.send("Why?"));
  write(accepted + token("Be", "1-1"));
  await until(() => chat.status === "streaming");
  await act(async () => root.render(null));
  await ended;
  assert.equal(platform.asked.length, 1);
});

const stored = [
  { id: "m1", role: "user", content: "Why?", status: "complete" },
  { id: "r1", role: "assistant", content: "Be", status: "streaming", generation_id: "g1" },
];

test("an opened chat goes on showing the reply that is being written, also under StrictMode", async () => {
  const whole = () => stream([accepted, token("Be", "1-1"), token("cause", "1-2"), completed("1-3")]);
  platform.answer = (asked) => (asked.url === "/api/chats/c1" ? json({ id: "c1", messages: stored }) : whole());
  await act(async () => root.render(<StrictMode><Page chatId="c1" /></StrictMode>));
  await until(() => seen() === "ready: user complete Why?, assistant complete Because");
});

test("the page may give the new chat's id back without anything being read again", async () => {
  const { answer, write } = written();
  platform.answers.push(answer);
  await shows();
  let sent: Promise<void> | undefined;
  await act(async () => void (sent = chat.send("Why?")));
  write(accepted + token("Be", "1-1"));
  await until(() => chat.status === "streaming");
  await shows("c1");
  write(token("cause", "1-2") + completed("1-3"));
  await act(async () => sent);
  assert.deepEqual([seen(), platform.asked.length], ["ready: user complete Why?, assistant complete Because", 1]);
});

test("another chat takes the place of the one before", async () => {
  platform.answer = ({ url }) => json({ id: url.at(-1), messages: [{ id: "m", role: "user", content: url, status: "complete" }] });
  await shows("c1");
  await until(() => seen() === "ready: user complete /api/chats/c1");
  await shows("c2");
  await until(() => seen() === "ready: user complete /api/chats/c2");
  await shows();
  assert.deepEqual([seen(), chat.chatId], ["ready: ", undefined]);
});

test("a chat that cannot be opened is an error", async () => {
  platform.answers.push(json({ code: "not_found", detail: "There is no such chat." }, 404));
  await shows("c1");
  await until(() => chat.status === "error");
  assert.equal(chat.error?.message, "There is no such chat.");
});
