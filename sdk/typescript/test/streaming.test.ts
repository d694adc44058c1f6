import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { ConnectionError, GenerationError, ProblemError } from "../src/index.js";
import { randomId } from "../src/ids.js";
import { frames } from "../src/sse.js";
import { ACCEPTED, COMPLETED, Platform, accepted, completed, frame, json, stream, token, until, written } from "./platform.js";

let platform: Platform;
beforeEach(async () => void (platform = await Platform.start()));
afterEach(() => platform.stop());

const question = { model: "small", content: "Why?" };

test("a reply is read whole", async () => {
  platform.answers.push(
    stream([frame("accepted", ACCEPTED, "1-0"), ": alive\n\n", frame("token", { text: "Be" }, "1-1") + frame("token", { text: "cause" }, "1-2"), frame("completed", COMPLETED, "1-3")]),
  );
  const reply = platform.client().chats.stream(question);
  const answer = await reply.answer();
  assert.deepEqual([answer.text, answer.finishReason, answer.usage.output_tokens], ["Because", "stop", 2]);
  assert.deepEqual([reply.generationId, reply.chatId, reply.lastEventId], ["g1", "c1", "1-3"]);
  assert.equal(platform.asked[0]?.url, "/api/chats/stream");
  assert.match(String(platform.asked[0]?.headers["idempotency-key"]), /^[0-9a-f-]{36}$/);
});

test("a lost connection resumes after the last event", async () => {
  platform.answers.push(
    stream([frame("accepted", ACCEPTED, "1-0"), frame("token", { text: "Be" }, "1-1")], "cut"),
    stream([frame("token", { text: "cause" }, "1-2")], "cut"),
    stream([frame("completed", COMPLETED, "1-3")]),
  );
  assert.equal((await platform.client().chats.stream(question).answer()).text, "Because");
  assert.deepEqual(platform.asked.map((one) => [one.url, one.headers["last-event-id"]]), [
    ["/api/chats/stream", undefined],
    ["/api/generations/g1/stream", "1-1"],
    ["/api/generations/g1/stream", "1-2"],
  ]);
});

test("a stream that ends without an end is resumed too", async () => {
  platform.answers.push(
    stream([frame("accepted", ACCEPTED, "1-0"), "retry: 10\n\n"]),
    stream([frame("token", { text: "yes" }, "1-1"), frame("completed", COMPLETED, "1-2")]),
  );
  assert.equal((await platform.client().chats.stream(question).answer()).text, "yes");
});

test("before the first event the same question is asked again under the same key", async () => {
  platform.answers.push(stream([], "cut"), (_, response) => void response.destroy(), stream([frame("accepted", ACCEPTED, "1-0"), frame("completed", COMPLETED, "1-1")]));
  await platform.client().chats.stream(question).answer();
  assert.deepEqual(platform.asked.map((one) => one.method), ["POST", "POST", "POST"]);
  assert.equal(new Set(platform.asked.map((one) => one.headers["idempotency-key"])).size, 1);
});

test("restarted voids what was shown", async () => {
  platform.answers.push(
    stream([frame("accepted", ACCEPTED, "1-0"), frame("token", { text: "wrong" }, "1-1"), frame("restarted", { attempt: 2, reason: "worker_lost" }), frame("token", { text: "right" }, "2-2"), frame("completed", COMPLETED, "2-3")]),
  );
  assert.equal((await platform.client().chats.stream(question).answer()).text, "right");
});

test("letters that are cut in the middle of a byte arrive whole", async () => {
  const bytes = new TextEncoder().encode(frame("accepted", ACCEPTED, "1-0") + frame("token", { text: "naïve 日本 🦙" }, "1-1") + frame("completed", COMPLETED, "1-2"));
  platform.answers.push(stream(Array.from({ length: Math.ceil(bytes.length / 3) }, (_, n) => bytes.slice(3 * n, 3 * n + 3))));
  assert.equal((await platform.client().chats.stream(question).answer()).text, "naïve 日本 🦙");
});

test("a failed reply throws its code with the text so far", async () => {
  platform.answers.push(
    stream([frame("accepted", ACCEPTED, "1-0"), frame("token", { text: "Be" }, "1-1"), frame("failed", { code: "backend_cut", message: "It stopped.", retryable: true }, "1-2")]),
  );
  await assert.rejects(platform.client().chats.stream(question).answer(), (error: unknown) => {
    assert.ok(error instanceof GenerationError);
    assert.deepEqual([error.code, error.retryable, error.partialText, error.message], ["backend_cut", true, "Be", "It stopped."]);
    return true;
  });
});

test("busy platforms are asked again when they say", async () => {
  platform.answers.push(
    json({ code: "overloaded", detail: "Full." }, 503, { "retry-after-ms": "30" }),
    stream([frame("accepted", ACCEPTED, "1-0"), frame("completed", COMPLETED, "1-1")]),
  );
  const began = Date.now();
  await platform.client().chats.stream(question).answer();
  assert.ok(Date.now() - began >= 28);
});

test("trouble that passes is told before the next try", async () => {
  platform.answers.push(
    json({ code: "overloaded", detail: "Full." }, 503),
    stream([frame("accepted", ACCEPTED, "1-0")], "cut"),
    stream([frame("completed", COMPLETED, "1-1")]),
  );
  const told: unknown[] = [];
  const onRetry = (trouble: unknown, pause: number) => void told.push(trouble instanceof ProblemError ? trouble.code : "lost", pause > 0);
  await platform.client().chats.stream(question, { onRetry }).answer();
  assert.deepEqual(told, ["overloaded", true, "lost", true]);
});

test("a refusal is a typed error, at once", async () => {
  platform.answers.push(json({ code: "unknown_model", detail: "There is no model named 'x'.", request_id: "q7", status: 404 }, 404));
  await assert.rejects(platform.client().chats.stream(question).answer(), (error: unknown) => {
    assert.ok(error instanceof ProblemError);
    assert.deepEqual([error.status, error.code, error.requestId], [404, "unknown_model", "q7"]);
    return true;
  });
  assert.equal(platform.asked.length, 1);
});

test("it gives up at last", async () => {
  for (let n = 0; n < 4; n++) platform.answers.push((_, response) => void response.destroy());
  await assert.rejects(platform.client().chats.stream(question).answer(), ConnectionError);
  assert.equal(platform.asked.length, 4);
});

for (const [onAbort, calls] of [["detach", 1], ["cancel", 2]] as const) {
  test(`aborting with ${onAbort} makes ${calls} call(s)`, async () => {
    platform.answers.push(stream([frame("accepted", ACCEPTED, "1-0"), frame("token", { text: "a" }, "1-1")], "open"), json({}, 202));
    const stop = new AbortController();
    const seen: string[] = [];
    await assert.rejects(async () => {
      for await (const event of platform.client().chats.stream(question, { signal: stop.signal, onAbort })) {
        seen.push(event.event);
        if (event.event === "token") stop.abort(new Error("enough"));
      }
    }, /enough/);
    assert.deepEqual(seen, ["accepted", "token"]);
    assert.equal(platform.asked.length, calls);
    if (calls === 2) assert.equal(platform.asked[1]?.url, "/api/generations/g1/cancel");
  });
}

test("leaving the loop closes the connection", async () => {
  let closed: () => void;
  const gone = new Promise<void>((resolve) => (closed = resolve));
  platform.answers.push((asked, response) => {
    response.on("close", closed);
    void stream([frame("accepted", ACCEPTED, "1-0")], "open")(asked, response);
  });
  for await (const event of platform.client().chats.stream(question)) if (event.event === "accepted") break;
  await gone;
});

test("answer() after a loop that was left has the whole text, and asks nothing anew once it has ended", async () => {
  platform.answers.push(stream([accepted, token("Be", "1-1")], "open"), stream([token("cause", "1-2"), completed("1-3")]));
  const reply = platform.client().chats.stream(question);
  for await (const event of reply) if (event.event === "token") break;
  assert.equal(reply.text, "Be");
  assert.equal((await reply.answer()).text, "Because");
  assert.equal((await reply.answer()).text, "Because");
  assert.deepEqual(platform.asked.map((one) => one.headers["last-event-id"]), [undefined, "1-1"]);
});

test("a stream that falls silent is resumed", async () => {
  platform.answers.push(stream([accepted, token("Be", "1-1")], "open"), stream([token("cause", "1-2"), completed("1-3")]));
  const client = platform.client({ patience: { retries: 3, firstPause: 5, longestPause: 20, silence: 60 } });
  assert.equal((await client.chats.stream(question).answer()).text, "Because");
});

test("a reader who is slow does not make the stream silent", async () => {
  platform.answers.push(stream([accepted, token("Be", "1-1") + token("cause", "1-2"), completed("1-3")]));
  const client = platform.client({ patience: { silence: 40 } });
  for await (const _ of client.chats.stream(question)) await new Promise((resolve) => setTimeout(resolve, 60));
  assert.equal(platform.asked.length, 1);
});

test("a platform that never answers is given up", async () => {
  platform.answer = () => () => undefined;
  const client = platform.client({ patience: { retries: 1, firstPause: 1, answer: 30, silence: 30 } });
  await assert.rejects(client.models.list(), ConnectionError);
  await assert.rejects(client.chats.stream(question).answer(), ConnectionError);
  assert.equal(platform.asked.length, 4);
});

test("a refusal that asks for more patience than there is, is thrown", async () => {
  platform.answers.push(json({ code: "rate_limited", detail: "Too fast." }, 429, { "retry-after": "86400" }));
  await assert.rejects(platform.client().chats.stream(question).answer(), (error: unknown) => {
    assert.ok(error instanceof ProblemError);
    assert.deepEqual([error.code, error.retryAfterMs], ["rate_limited", 86_400_000]);
    return true;
  });
});

for (const body of ["null", "[1]", '"no"', "<html>", ""]) {
  test(`a refusal that something in between wrote as ${JSON.stringify(body)} is typed too`, async () => {
    platform.answers.push((_, response) => void response.writeHead(403).end(body));
    await assert.rejects(platform.client().models.list(), (error: unknown) => error instanceof ProblemError && error.status === 403 && error.code === "unknown");
  });
}

test("an answer that is no JSON is no answer", async () => {
  platform.answer = () => (_, response) => void response.writeHead(200).end("<html>Log in to this network</html>");
  await assert.rejects(platform.client().models.list(), ConnectionError);
  assert.equal(platform.asked.length, 4);
});

test("cancel() before the first event cancels as soon as that comes", async () => {
  const { answer, write } = written();
  platform.answers.push(answer, json({}, 202));
  const reply = platform.client().chats.stream(question);
  const answered = reply.answer();
  await reply.cancel();
  write(accepted + token("Be", "1-1"));
  await until(() => platform.asked.length === 2);
  write(frame("cancelled", { usage: COMPLETED.usage }, "1-2"));
  await assert.rejects(answered, (error: unknown) => error instanceof GenerationError && error.code === "cancelled" && error.partialText === "Be");
  assert.equal(platform.asked[1]?.url, "/api/generations/g1/cancel");
});

test("aborting with cancel before the first event cancels what the platform accepted unseen", async () => {
  platform.answers.push(() => undefined, stream([accepted], "open"), json({}, 202));
  const stop = new AbortController();
  const answered = platform.client().chats.stream(question, { signal: stop.signal, onAbort: "cancel" }).answer();
  await until(() => platform.asked.length === 1);
  stop.abort(new Error("enough"));
  await assert.rejects(answered, /enough/);
  assert.deepEqual(platform.asked.map((one) => one.url), ["/api/chats/stream", "/api/chats/stream", "/api/generations/g1/cancel"]);
  assert.equal(platform.asked[0]?.headers["idempotency-key"], platform.asked[1]?.headers["idempotency-key"]);
});

for (const onAbort of ["detach", "cancel"] as const) {
  test(`aborting with ${onAbort} before anything was asked asks nothing`, async () => {
    const reply = platform.client().chats.stream(question, { signal: AbortSignal.abort(new Error("enough")), onAbort });
    await assert.rejects(reply.answer(), /enough/);
    assert.equal(platform.asked.length, 0);
  });
}

test("aborting while it waits for the next try ends the waiting", async () => {
  platform.answers.push(json({ code: "overloaded" }, 503, { "retry-after": "30" }));
  const stop = new AbortController();
  const answered = platform.client().chats.stream(question, { signal: stop.signal, onRetry: () => stop.abort(new Error("enough")) }).answer();
  await assert.rejects(answered, /enough/);
});

test("an event that never ends is no memory leak", async () => {
  const endless = new ReadableStream<Uint8Array>({ pull: (to) => to.enqueue(new TextEncoder().encode(`data: ${"x".repeat(99_990)}\n`)) });
  await assert.rejects(async () => {
    for await (const _ of frames(endless));
  }, /without an end/);
});

test("pages on plain http have ids too", (context) => {
  context.mock.getter(globalThis, "crypto", () => ({ getRandomValues: (bytes: Uint8Array) => bytes.fill(171) }));
  assert.equal(randomId(), "ab".repeat(16));
});
