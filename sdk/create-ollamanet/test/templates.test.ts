import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { TEMPLATES } from "../src/templates.js";

const ROOT = new URL("../../", import.meta.url);
const read = (path: string) => readFile(new URL(path, ROOT), "utf8");
const manifest = async (path: string) => JSON.parse(await read(path)) as Record<string, Record<string, string>> & { version: string };

/** Where each template's streaming chat is. */
const CHATS = { react: "src/Chat.tsx", node: "src/chat.ts", next: "app/chat.tsx" } as const;
const MOST_LINES = 20;
const LONGEST_LINE = 140;

for (const [template, chat] of Object.entries(CHATS)) {
  test(`${template}: the streaming chat is under ${MOST_LINES} lines`, async () => {
    const lines = (await read(`templates/${template}/${chat}`)).split("\n").filter((line) => line.trim() !== "");
    assert.ok(lines.length < MOST_LINES, `${lines.length} lines`);
    assert.deepEqual(lines.filter((line) => line.length > LONGEST_LINE), []);
  });

  test(`${template}: every version is pinned, the SDK's to this clone's`, async () => {
    const { dependencies, devDependencies } = await manifest(`templates/${template}/package.json`);
    const pins = Object.entries({ ...dependencies, ...devDependencies });
    assert.deepEqual(pins.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version)), []);
    assert.equal(dependencies?.ollamanet, (await manifest("../typescript/package.json")).version);
  });

  test(`${template}: npm packs every file of it, under its own name`, async () => {
    const dropped = [".gitignore", ".npmrc", "package-lock.json", "npm-shrinkwrap.json"];
    const files = await readdir(fileURLToPath(new URL(`templates/${template}`, ROOT)), { recursive: true });
    assert.deepEqual(files.filter((file) => dropped.includes(basename(file))), []);
    for (const needed of ["_gitignore", ".env.example", "README.md", "package.json", chat]) assert.ok(files.includes(needed), needed);
  });

  test(`${template}: nothing of the key is in what a browser gets`, async () => {
    const folder = fileURLToPath(new URL(`templates/${template}`, ROOT));
    for (const file of await readdir(folder, { recursive: true })) {
      const text = await readFile(join(folder, file), "utf8").catch(() => "");
      const reads = /(?:process\.env|\benv)\.OLLAMANET_API_KEY/.test(text);
      if (reads) assert.ok(["src/platform.ts", "app/platform.ts", "vite.config.ts"].includes(file), file);
      if (template === "react" && file.startsWith("src/")) assert.ok(!reads, file);
      if (template === "next" && /^"use client"/.test(text)) assert.doesNotMatch(text, /from "\.\/platform"/);
    }
  });
}

test("the templates are those that can be asked for", () => {
  assert.deepEqual(Object.keys(CHATS).sort(), Object.keys(TEMPLATES).sort());
});

test("both packages have one version", async () => {
  assert.equal((await manifest("package.json")).version, (await manifest("../typescript/package.json")).version);
});
