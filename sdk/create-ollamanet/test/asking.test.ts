import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { test } from "node:test";
import { parse } from "../src/arguments.js";
import { ask, Left, type Person } from "../src/asking.js";

const DOWN = "\x1b[B";
const CTRL_C = "\x03";

/** Types each answer once its question is shown. */
function person(answers: readonly (readonly [RegExp, string])[]): Person {
  const [input, output] = [new PassThrough(), Object.assign(new PassThrough(), { columns: 80, rows: 24 })];
  let shown = "";
  const left = [...answers];
  output.on("data", (text: Buffer) => {
    shown += text.toString();
    if (left[0]?.[0].test(shown)) {
      const [, answer] = left.shift()!;
      shown = "";
      void pause(20).then(() => input.write(answer));
    }
  });
  return { input, output };
}

const FOLDER = /Which folder/;
const TEMPLATE = /What shall it be\?/;

test("a person is asked for a folder and a template", async () => {
  const answered = await ask(parse([], {}), person([[FOLDER, "asked-for\r"], [TEMPLATE, `${DOWN}\r`]]));
  assert.deepEqual(answered, { folder: "asked-for", template: "node" });
});

test("Enter takes what is shown; what was typed is not asked for", async () => {
  assert.deepEqual(await ask(parse(["-t", "next"], {}), person([[FOLDER, "\r"]])), { folder: "my-app", template: "next" });
  assert.deepEqual(await ask(parse(["mine", "-t", "next"], {}), person([])), { folder: "mine", template: "next" });
});

test("a folder that is no name of a package is told at once", async () => {
  const backspaces = "\x7f".repeat(6);
  const answered = await ask(parse(["-t", "node"], {}), person([[FOLDER, "My App\r"], [/try my-app/, `${backspaces}my-app\r`]]));
  assert.equal(answered.folder, "my-app");
});

test("Ctrl-C leaves, at either question", async () => {
  await assert.rejects(ask(parse([], {}), person([[FOLDER, CTRL_C]])), Left);
  await assert.rejects(ask(parse(["mine"], {}), person([[TEMPLATE, CTRL_C]])), Left);
});
