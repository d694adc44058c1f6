import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { chromium, type Browser } from "playwright-core";
import { QUESTION } from "./journey.js";

/** The Chromium of this machine, without a window. */
export function browser(): Promise<Browser> {
  const names = ["chromium", "chromium-browser", "google-chrome"];
  const places = (process.env.PATH ?? "").split(delimiter).flatMap((folder) => names.map((name) => join(folder, name)));
  const executablePath = places.find((place) => existsSync(place));
  assert.ok(executablePath, "Chromium is not installed: apt-get install chromium.");
  return chromium.launch({ executablePath, args: ["--no-sandbox"] });
}

/** A person asks twice in the page; the answers come, the second goes on in the chat of the first, and nothing complains. */
export async function asksInThePage(running: Browser, url: string): Promise<void> {
  const page = await running.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  const chats: unknown[] = [];
  page.on("request", (request) => request.url().endsWith("/api/chats/stream") && chats.push(request.postDataJSON().chat_id));
  await page.goto(url);
  for (const [number, question] of [QUESTION, "And the sea?"].entries()) {
    await page.getByRole("textbox").fill(question);
    await page.getByRole("textbox").press("Enter");
    const reply = page.locator(".assistant").nth(number);
    await reply.filter({ hasText: question }).waitFor();
    await page.getByRole("button", { name: "Ask" }).waitFor();
    assert.equal(await page.getByRole("textbox").inputValue(), "");
  }
  assert.equal(await page.locator(".assistant").count(), 2);
  assert.equal(chats[0], undefined);
  assert.match(String(chats[1]), /^[0-9a-f-]{36}$/);
  assert.deepEqual(complaints, []);
  await page.close();
}

/** What the page shows instead of a chat. */
export async function alertOf(running: Browser, url: string): Promise<string> {
  const page = await running.newPage();
  await page.goto(url);
  const text = await page.locator("p[role=alert]").innerText();
  await page.close();
  return text;
}

/** Asks through the app's own server, as its page does: the answer comes piece by piece, with the platform's own frames. */
export async function asksByHttp(url: string): Promise<void> {
  const response = await fetch(`${url}/api/chats/stream`, {
    method: "POST",
    headers: { "content-type": "application/json", "accept-encoding": "gzip" },
    body: JSON.stringify({ model: "small", content: QUESTION }),
  });
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type") ?? "", /^text\/event-stream/);
  assert.match(response.headers.get("cache-control") ?? "", /no-transform/);
  const came: number[] = [];
  let text = "";
  const decoder = new TextDecoder();
  for await (const piece of response.body!) {
    text += decoder.decode(piece as Uint8Array, { stream: true });
    came.push(performance.now());
  }
  const tokens = [...text.matchAll(/^event: token\ndata: (.*)$/gm)].map((match) => (JSON.parse(match[1]!) as { text: string }).text);
  assert.ok(tokens.join("").includes(QUESTION), text);
  assert.match(text, /^event: completed$/m);
  assert.ok(came.length > 5, `in ${came.length} pieces`);
  assert.ok(came.at(-1)! - came[0]! > 200, "held back to its end");
}
