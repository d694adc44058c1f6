import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Browser } from "playwright-core";
import { Developer, QUESTION, type App } from "./journey.js";
import { alertOf, asksByHttp, asksInThePage, browser } from "./page.js";
import { freePort, serve, typed, type Server } from "./running.js";

let developer: Developer;
let chromium: Browser;
const NO_KEY = /OLLAMANET_API_KEY is missing .*ollamanet api-keys create my-/s;
const NO_PLATFORM = /No OllamaNet answers at http:\/\/127\.0\.0\.1:\d+\. Start one/;

before(async () => {
  [developer, chromium] = await Promise.all([Developer.arrives(), browser()]);
});

after(async () => {
  await chromium?.close();
  await developer?.leaves();
});

test("node: from an empty folder to a streamed answer", async () => {
  const began = performance.now();
  const app = await developer.makes("node");
  const said = await typed(`node dist/chat.js "${QUESTION}"`, app.folder, developer.env);
  console.log(`node: ${seconds(began)} s`);
  assert.equal(said.code, 0, said.errors);
  assert.ok(said.text.includes(QUESTION));
  const words = said.pieces.filter((piece) => piece.text.trim());
  assert.ok(words.length > 5, `in ${words.length} pieces`);
  assert.ok(words.at(-1)!.at - words[0]!.at > 200, "held back to its end");
  const two = await typed("npm --silent start", app.folder, developer.env, "First question?\nSecond question?\n");
  assert.match(two.text, /First question\?.*\n.*Second question\?/s, two.errors);

  const keyless = await typed("npm --silent start", app.folder, { ...developer.env, OLLAMANET_API_KEY: "wrong" });
  assert.deepEqual([keyless.code, keyless.text], [1, ""]);
  assert.match(keyless.errors, NO_KEY);
  const alone = await typed("npm --silent start", app.folder, { ...developer.env, OLLAMANET_URL: `http://127.0.0.1:${await freePort()}` });
  assert.deepEqual([alone.code, alone.text], [1, ""]);
  assert.match(alone.errors, NO_PLATFORM);
});

test("react: from an empty folder to an answer in the page", async () => {
  const began = performance.now();
  const app = await developer.makes("react");
  await withServer(app, "npm run preview -- --host 127.0.0.1 --strictPort", {}, async (url) => {
    await asksByHttp(url);
    console.log(`react: ${seconds(began)} s`);
    await asksInThePage(chromium, url);
    await keepsToItself(url);
  });
  await withServer(app, "npm run dev -- --host 127.0.0.1 --strictPort", {}, (url) => asksInThePage(chromium, url));
  assert.deepEqual(await filesWith(join(app.folder, "dist"), app.key), []);
  await saysWhatToDo(app, "npm run preview -- --host 127.0.0.1 --strictPort");
  await hangsUp(app, "npm run preview -- --host 127.0.0.1 --strictPort");
});

test("next: from an empty folder to an answer in the page", async () => {
  const began = performance.now();
  const app = await developer.makes("next");
  await withServer(app, "npm start --", {}, async (url) => {
    await asksByHttp(url);
    console.log(`next: ${seconds(began)} s`);
    await asksInThePage(chromium, url);
    await keepsToItself(url);
    assert.ok(!(await (await fetch(url)).text()).includes(app.key));
  });
  assert.deepEqual(await filesWith(join(app.folder, ".next/static"), app.key), []);
  await saysWhatToDo(app, "npm start --");
  await hangsUp(app, "npm start --");
});

async function withServer(app: App, line: string, env: Record<string, string>, work: (url: string) => Promise<void>): Promise<void> {
  const port = await freePort();
  const server: Server = await serve(`${line} --port ${port}`, app.folder, { ...developer.env, ...env }, () => `http://127.0.0.1:${port}`);
  await work(server.url).finally(server.stop);
}

/** Nothing but chats, generations and models is asked in the developer's name. */
async function keepsToItself(url: string): Promise<void> {
  for (const path of ["/api/auth/me", "/api/auth/keys", "/api/chats/../auth/me", "/api/chats/..%2fauth/me", "/api/chatsx"]) {
    const text = await (await fetch(url + path)).text();
    assert.ok(!text.includes("dev@example.org") && !text.includes('"items"'), `${path}: ${text}`);
  }
}

async function saysWhatToDo(app: App, line: string): Promise<void> {
  await withServer(app, line, { OLLAMANET_API_KEY: "wrong" }, async (url) => assert.match(await alertOf(chromium, url), NO_KEY));
  const nowhere = `http://127.0.0.1:${await freePort()}`;
  await withServer(app, line, { OLLAMANET_URL: nowhere }, async (url) => assert.match(await alertOf(chromium, url), NO_PLATFORM));
}

/** Whoever leaves the page leaves the platform too: the app's server holds no stream that nobody reads. */
async function hangsUp(app: App, line: string): Promise<void> {
  const left = new EventEmitter();
  const platform = createServer((request, response) => {
    if (!request.url?.endsWith("/stream")) return void response.writeHead(404).end();
    response.writeHead(200, { "content-type": "text/event-stream" }).write(": begun\n\n");
    response.on("close", () => left.emit("close", request.headers.authorization));
  }).listen(0, "127.0.0.1");
  await once(platform, "listening");
  const url = `http://127.0.0.1:${(platform.address() as AddressInfo).port}`;
  await withServer(app, line, { OLLAMANET_URL: url }, async (own) => {
    const gone = once(left, "close", { signal: AbortSignal.timeout(10_000) });
    const page = new AbortController();
    const response = await fetch(`${own}/api/generations/g/stream`, { signal: page.signal });
    await response.body!.getReader().read();
    page.abort();
    assert.deepEqual(await gone, [`Bearer ${app.key}`]);
  });
  platform.closeAllConnections();
  platform.close();
}

async function filesWith(folder: string, secret: string): Promise<string[]> {
  const files = await readdir(folder, { recursive: true, withFileTypes: true });
  const texts = files.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name));
  assert.ok(texts.length > 0);
  const found = await Promise.all(texts.map(async (one) => ((await readFile(one)).includes(secret) ? [one] : [])));
  return found.flat();
}

function seconds(began: number): string {
  return ((performance.now() - began) / 1000).toFixed(1);
}
