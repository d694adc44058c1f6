import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { AbstractChat, type ChatState, type ChatStatus, type ChatTransport, type UIMessage } from "ai";
import { OllamaNetTransport } from "../src/ai.js";
import { ACCEPTED, COMPLETED, completed, frame, json, nothing, Platform, stream, token, until } from "./platform.js";

let platform: Platform;
beforeEach(async () => void (platform = await Platform.start()));
afterEach(() => platform.stop());

/** The AI SDK's own chat, with a state that nobody draws. */
class Chat extends AbstractChat<UIMessage> {
  constructor(id: string, messages: UIMessage[] = [], model = "small") {
    const transport: ChatTransport<UIMessage> = new OllamaNetTransport(platform.client({ apiKey: "k" }), { model });
    super({ id, transport, state: new State(messages) });
  }

  get text(): string {
    return textOf(this.messages.at(-1));
  }
}

class State implements ChatState<UIMessage> {
  status: ChatStatus = "ready";
  error: Error | undefined;
  constructor(public messages: UIMessage[]) {}
  pushMessage = (message: UIMessage) => void (this.messages = [...this.messages, message]);
  popMessage = () => void (this.messages = this.messages.slice(0, -1));
  replaceMessage = (at: number, message: UIMessage) => void (this.messages = this.messages.with(at, message));
  snapshot = <T>(thing: T): T => structuredClone(thing);
}

/** What follows the last `data-restarted`. */
function textOf(message: UIMessage | undefined): string {
  const parts = message?.parts ?? [];
  const shown = parts.slice(parts.findLastIndex((part) => part.type === "data-restarted") + 1);
  return shown.map((part) => (part.type === "text" ? part.text : "")).join("");
}

const REPLY = "01930000-0000-7000-8000-00000000000b";
const CHAT = "01930000-0000-7000-8000-00000000000c";
const accepted = frame("accepted", { ...ACCEPTED, reply_id: REPLY, chat_id: CHAT }, "1-0");
const body = (n: number) => JSON.parse(platform.asked[n]?.body ?? "{}") as Record<string, unknown>;

test("a reply comes, and the next question goes on in its chat, after it", async () => {
  platform.answers.push(stream([accepted, token("Be", "1-1"), token("cause", "1-2"), completed("1-3")]), stream([accepted, completed("1-1")]));
  const chat = new Chat("made-by-the-ai-sdk");
  await chat.sendMessage({ text: "Why?" });
  assert.deepEqual([chat.text, chat.status, chat.messages.at(-1)?.id], ["Because", "ready", REPLY]);
  assert.deepEqual(body(0), { model: "small", content: "Why?" });
  await chat.sendMessage({ text: "And?" }, { body: { options: { temperature: 0 } } });
  assert.deepEqual(body(1), { model: "small", content: "And?", chat_id: CHAT, parent_id: REPLY, options: { temperature: 0 } });
});

test("thinking and tool calls are parts of their own", async () => {
  const call = frame("tool_call", { id: "t1", name: "look", arguments: { at: "sky" } }, "1-3");
  platform.answers.push(stream([accepted, frame("thinking", { text: "Hm." }, "1-1"), token("I look.", "1-2"), call, completed("1-4")]));
  const chat = new Chat("c");
  await chat.sendMessage({ text: "Why?" });
  const parts = chat.messages.at(-1)?.parts ?? [];
  assert.deepEqual(parts.map((part) => part.type), ["reasoning", "text", "dynamic-tool"]);
  assert.ok(parts[2]?.type === "dynamic-tool");
  assert.deepEqual([parts[2].toolCallId, parts[2].toolName, parts[2].state, parts[2].input], ["t1", "look", "input-available", { at: "sky" }]);
});

test("a cut connection is resumed without the AI SDK noticing", async () => {
  platform.answers.push(stream([accepted, token("Be", "1-1")], "cut"), stream([token("cause", "1-2"), completed("1-3")]));
  const chat = new Chat("c");
  await chat.sendMessage({ text: "Why?" });
  assert.deepEqual([chat.text, chat.status], ["Because", "ready"]);
  assert.equal(platform.asked[1]?.headers["last-event-id"], "1-1");
});

test("what stands before restarted is told from what follows", async () => {
  platform.answers.push(stream([accepted, token("wrong", "1-1"), frame("restarted", { attempt: 2, reason: "worker_lost" }), token("right", "2-2"), completed("2-3")]));
  const chat = new Chat("c");
  await chat.sendMessage({ text: "Why?" });
  assert.deepEqual([chat.text, chat.status], ["right", "ready"]);
});

test("a failed reply is an error that keeps the text so far", async () => {
  platform.answers.push(stream([accepted, token("Be", "1-1"), frame("failed", { code: "backend_cut", message: "It stopped.", retryable: true }, "1-2")]));
  const chat = new Chat("c");
  await chat.sendMessage({ text: "Why?" });
  assert.deepEqual([chat.status, chat.error?.message, chat.text], ["error", "It stopped.", "Be"]);
});

test("a refusal is an error, and no reply", async () => {
  platform.answers.push(json({ code: "unknown_model", detail: "There is no model named 'x'." }, 404));
  const chat = new Chat("c");
  await chat.sendMessage({ text: "Why?" });
  assert.deepEqual([chat.status, chat.error?.message, chat.messages.length], ["error", "There is no model named 'x'.", 1]);
});

test("stop cancels the reply for every device and is no error", async () => {
  platform.answers.push(stream([accepted, token("Be", "1-1")], "open"), json({}, 202));
  const chat = new Chat("c");
  const sent = chat.sendMessage({ text: "Why?" });
  await until(() => chat.text === "Be");
  await chat.stop();
  await sent;
  await until(() => platform.asked.length === 2);
  assert.deepEqual([chat.status, chat.error, chat.text], ["ready", undefined, "Be"]);
  assert.equal(platform.asked[1]?.url, "/api/generations/g1/cancel");
});

test("a reply that was cancelled elsewhere ends without an error", async () => {
  platform.answers.push(stream([accepted, token("Be", "1-1"), frame("cancelled", { usage: COMPLETED.usage }, "1-2")]));
  const chat = new Chat("c");
  await chat.sendMessage({ text: "Why?" });
  assert.deepEqual([chat.status, chat.error, chat.text], ["ready", undefined, "Be"]);
});

const question: UIMessage = { id: "m1", role: "user", parts: [{ type: "text", text: "Why?" }] };
const half: UIMessage = { id: REPLY, role: "assistant", parts: [{ type: "text", text: "Be" }] };

test("a page that is loaded again resumes the reply from its start", async () => {
  platform.answers.push(stream([accepted, token("Be", "1-1"), token("cause", "1-2"), completed("1-3")]));
  const chat = new Chat(CHAT, [question, half]);
  await chat.resumeStream();
  assert.deepEqual([chat.messages.length, chat.text, chat.status], [2, "Because", "ready"]);
  assert.deepEqual(platform.asked.map((one) => one.url), [`/api/chats/${CHAT}/stream`]);
});

test("a resumed reply whose connection is cut goes on after its last event", async () => {
  platform.answers.push(stream([accepted, token("Be", "1-1")], "cut"), stream([token("cause", "1-2"), completed("1-3")]));
  const chat = new Chat(CHAT, [question, half]);
  await chat.resumeStream();
  assert.deepEqual([chat.text, chat.status], ["Because", "ready"]);
  assert.equal(platform.asked[1]?.url, "/api/generations/g1/stream");
  assert.equal(platform.asked[1]?.headers["last-event-id"], "1-1");
});

test("nothing is resumed where nothing is being written", async () => {
  platform.answers.push(nothing, json({ code: "not_found" }, 404));
  for (const id of [CHAT, CHAT, "made-by-the-ai-sdk"]) {
    const chat = new Chat(id, [question, half]);
    await chat.resumeStream();
    assert.deepEqual([chat.status, chat.text], ["ready", "Be"]);
  }
  assert.equal(platform.asked.length, 2);
});

test("trouble while resuming is no silence", async () => {
  platform.answers.push(json({ code: "not_logged_in", detail: "Log in." }, 401));
  const chat = new Chat(CHAT, [question, half]);
  await chat.resumeStream();
  assert.deepEqual([chat.status, chat.error?.message], ["error", "Log in."]);
});

test("asked again, a question branches off before its reply; the first one begins a chat of its own", async () => {
  const second: UIMessage = { id: "m2", role: "user", parts: [{ type: "text", text: "And?" }] };
  const late: UIMessage = { id: REPLY.replace("b", "d"), role: "assistant", parts: [] };
  platform.answers.push(stream([accepted, completed("1-1")]), stream([accepted, completed("1-1")]));
  await new Chat(CHAT, [question, half, second, late]).regenerate();
  assert.deepEqual(body(0), { model: "small", content: "And?", chat_id: CHAT, parent_id: REPLY });
  await new Chat(CHAT, [question, half]).regenerate();
  assert.deepEqual(body(1), { model: "small", content: "Why?" });
});
