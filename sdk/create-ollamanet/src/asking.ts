import type { Readable, Writable } from "node:stream";
import { isCancel, select, text } from "@clack/prompts";
import type { Wanted } from "./arguments.js";
import { packageName, refuseUsed } from "./naming.js";
import { Refusal } from "./refusal.js";
import { TEMPLATES, type Template } from "./templates.js";

/** Ctrl-C, or Escape. */
export class Left extends Error {}

export interface Choice {
  readonly folder: string;
  readonly template: Template;
}

/** Whom to ask: the terminal, unless told otherwise. */
export interface Person {
  readonly input: Readable;
  readonly output: Writable;
}

const TERMINAL: Person = { input: process.stdin, output: process.stdout };
const FOLDER = "my-app";

/** What was not typed is asked for. @throws Left, Refusal */
export async function ask(wanted: Wanted, person: Person = TERMINAL): Promise<Choice> {
  const folder = wanted.folder ?? (await askFolder(person));
  packageName(folder);
  await refuseUsed(folder);
  return { folder, template: wanted.template ?? (await askTemplate(person)) };
}

/** Where nobody can be asked. @throws Refusal */
export function assume(wanted: Wanted): Choice {
  if (wanted.folder === undefined) throw new Refusal("Name a folder for it: npm create ollamanet my-app");
  return { folder: wanted.folder, template: wanted.template ?? "react" };
}

async function askFolder(person: Person): Promise<string> {
  const validate = (given: string | undefined) => {
    try {
      packageName(given || FOLDER);
      return undefined;
    } catch (error) {
      return (error as Refusal).message;
    }
  };
  return kept(await text({ ...person, message: "Which folder shall it stand in?", placeholder: FOLDER, defaultValue: FOLDER, validate }));
}

async function askTemplate(person: Person): Promise<Template> {
  const options = (Object.keys(TEMPLATES) as Template[]).map((value) => ({ value, label: TEMPLATES[value] }));
  return kept(await select({ ...person, message: "What shall it be?", options }));
}

function kept<T>(answer: T): Exclude<T, symbol> {
  if (isCancel(answer)) throw new Left();
  return answer as Exclude<T, symbol>;
}
