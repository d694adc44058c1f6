import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { ProblemError, type Tokens } from "../src/index.js";
import { Platform, json } from "./platform.js";

let platform: Platform;
beforeEach(async () => void (platform = await Platform.start()));
afterEach(() => platform.stop());

const pair = (n: number, expires_in = 900) => ({ access_token: `a${n}`, token_type: "bearer", expires_in, refresh_token: `r${n}`, user: { id: "u" } });
const unauthorised = json({ code: "not_logged_in", detail: "Log in." }, 401);
const bearer = (n: number) => platform.asked[n]?.headers.authorization;

test("an API key goes along with every call and is never refreshed", async () => {
  platform.answers.push(json({ items: [] }), unauthorised);
  const client = platform.client({ apiKey: "on_secret" });
  await client.models.list();
  assert.equal(bearer(0), "Bearer on_secret");
  await assert.rejects(client.models.list(), ProblemError);
  assert.equal(platform.asked.length, 2);
});

test("after a login every call is that person's", async () => {
  platform.answers.push(json(pair(1)), json({ items: [] }));
  const kept: (Tokens | null)[] = [];
  const client = platform.client({ onTokens: (tokens) => kept.push(tokens) });
  await client.auth.logIn("a@example.org", "long enough");
  await client.chats.list();
  assert.equal(bearer(0), undefined);
  assert.equal(bearer(1), "Bearer a1");
  assert.equal(kept[0]?.refresh_token, "r1");
});

test("a refused token is renewed once, however many calls wait for it", async () => {
  const tokens = { access_token: "old", refresh_token: "r0" };
  const client = platform.client({ tokens });
  platform.answers.push(unauthorised, unauthorised, json(pair(2)), json({ items: [1] }), json({ items: [2] }));
  const lists = await Promise.all([client.chats.list(), client.chats.list()]);
  assert.equal(lists.length, 2);
  assert.equal(platform.asked.filter((one) => one.url === "/api/auth/refresh").length, 1);
  assert.deepEqual([bearer(3), bearer(4)], ["Bearer a2", "Bearer a2"]);
});

test("a token is renewed before it expires", async () => {
  platform.answers.push(json(pair(1, 10)), json(pair(2)), json({ items: [] }));
  const client = platform.client();
  await client.auth.logIn("a@example.org", "long enough");
  await client.chats.list();
  assert.deepEqual(platform.asked.map((one) => one.url), ["/api/auth/login", "/api/auth/refresh", "/api/chats"]);
  assert.equal(bearer(2), "Bearer a2");
});

test("a session that ended is forgotten", async () => {
  const kept: unknown[] = [];
  const client = platform.client({ tokens: { access_token: "old", refresh_token: "r0" }, onTokens: (tokens) => kept.push(tokens) });
  platform.answers.push(unauthorised, json({ code: "session_ended", detail: "Over." }, 401));
  await assert.rejects(client.chats.list(), (error: unknown) => error instanceof ProblemError && error.status === 401);
  assert.deepEqual(kept, [null]);
});

test("pages follow one another", async () => {
  platform.answers.push(json({ items: [{ id: "1" }], next_cursor: "x" }), json({ items: [{ id: "2" }], next_cursor: null }));
  const found: string[] = [];
  for await (const chat of platform.client({ apiKey: "k" }).chats.all({ limit: 1 })) found.push(chat.id);
  assert.deepEqual(found, ["1", "2"]);
  assert.deepEqual(platform.asked.map((one) => one.url), ["/api/chats?limit=1", "/api/chats?limit=1&cursor=x"]);
});

test("a refresh that finds the platform busy is tried again with the call that needs it", async () => {
  const client = platform.client({ tokens: { access_token: "old", refresh_token: "r0" } });
  platform.answers.push(unauthorised, json({ code: "overloaded" }, 503), unauthorised, (_, response) => void response.destroy(), unauthorised, json(pair(2)), json({ items: [] }));
  await client.chats.list();
  assert.deepEqual(platform.asked.filter((one) => one.url === "/api/auth/refresh").map((one) => JSON.parse(one.body).refresh_token), ["r0", "r0", "r0"]);
  assert.equal(bearer(6), "Bearer a2");
});

test("who logs in while an older session is renewed stays logged in", async () => {
  let late: () => void = () => undefined;
  platform.answer = ({ url }) => {
    if (url === "/api/auth/login") return json(pair(7));
    if (url !== "/api/auth/refresh") return bearer(platform.asked.length - 1) === "Bearer a7" ? json({ items: [] }) : unauthorised;
    return (asked, response) => void (late = () => void json({ code: "session_ended" }, 401)(asked, response));
  };
  const kept: unknown[] = [];
  const client = platform.client({ tokens: { access_token: "old", refresh_token: "r0" }, onTokens: (tokens) => kept.push(tokens?.access_token) });
  const listed = client.chats.list();
  while (platform.asked.length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  await client.auth.logIn("a@example.org", "long enough");
  late();
  await listed;
  assert.deepEqual(kept, ["a7"]);
});

test("keys are made under an idempotency key, listed and revoked", async () => {
  platform.answers.push((_, response) => void response.destroy(), json({ id: "k1", secret: "on_1" }, 201), json({ items: [{ id: "k1" }] }), json(undefined, 204));
  const { keys } = platform.client({ tokens: { access_token: "a", refresh_token: "r" } });
  assert.equal((await keys.create({ name: "Mine", scopes: ["read"] })).secret, "on_1");
  await keys.list({ limit: 5 });
  await keys.revoke("k1");
  const [first, second] = platform.asked.map((one) => one.headers["idempotency-key"]);
  assert.ok(first !== undefined && first === second);
  assert.deepEqual(platform.asked.slice(2).map((one) => [one.method, one.url]), [["GET", "/api/auth/keys?limit=5"], ["DELETE", "/api/auth/keys/k1"]]);
});
