import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { packageName, refuseUsed } from "../src/naming.js";
import { Refusal } from "../src/refusal.js";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "naming-"));
});
after(() => rm(folder, { recursive: true }));

test("the package is called like its folder", () => {
  assert.equal(packageName("my-app"), "my-app");
  assert.equal(packageName("apps/chat.v2/"), "chat.v2");
});

test("a folder that is no name of a package is refused with one that is", () => {
  const hints = { "My App": "my-app", _x: "x", ".x": "x", "Größe": "gr-e", "a$(id)b": "a-id-b" };
  for (const [name, hint] of Object.entries(hints)) assert.throws(() => packageName(name), { name: "Refusal", message: new RegExp(`: try ${hint}\\.$`) });
  for (const name of ["node_modules", "äöü", "/"]) assert.throws(() => packageName(name), (error: unknown) => error instanceof Refusal && !/try/.test(error.message));
  assert.throws(() => packageName("a".repeat(215)), Refusal);
});

test("an app is not called like what it depends on", () => {
  assert.throws(() => packageName("react", ["react", "ollamanet"]), /try my-react/);
});

test("only a new or an empty folder is filled; a fresh repository is empty", async () => {
  await refuseUsed(join(folder, "new"));
  await mkdir(join(folder, "repository/.git"), { recursive: true });
  await refuseUsed(join(folder, "repository"));
  for (const name of ["a", "b", "c", "d"]) await writeFile(join(folder, name), "");
  await assert.rejects(refuseUsed(folder), /is not empty \(a, b, c, … \(5 in all\)\): name a new folder/);
  await assert.rejects(refuseUsed(join(folder, "a")), /is no folder/);
  await assert.rejects(refuseUsed(join(folder, "a/b")), /is no folder, or stands in a file/);
});
