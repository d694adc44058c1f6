import { readdir } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { Refusal } from "./refusal.js";

/** What an npm package may be called, as far as it is made from a folder's name. */
const NAME = /^[a-z0-9][a-z0-9._-]{0,213}$/;
const RESERVED = new Set(["node_modules", "favicon.ico"]);

/**
 * The package's name: the folder's own.
 *
 * @throws Refusal with a name that would do, where there is one.
 */
export function packageName(folder: string, dependencies: readonly string[] = []): string {
  const name = basename(resolve(folder));
  if (dependencies.includes(name)) throw new Refusal(`An app that uses the package ${name} cannot be called ${name} itself: try my-${name}.`);
  if (NAME.test(name) && !RESERVED.has(name)) return name;
  const closest = name.toLowerCase().replace(/[^a-z0-9._-]+/g, "-").replace(/^[._-]+|-+$/g, "").slice(0, 214);
  const hint = closest === "" || RESERVED.has(closest) ? "" : `: try ${closest}`;
  throw new Refusal(`${JSON.stringify(name)} is no name of a package (lower-case letters, digits, ".", "_", "-"; at most 214)${hint}.`);
}

/** @throws Refusal where something is there that could be overwritten; a fresh `git init` is none. */
export async function refuseUsed(folder: string): Promise<void> {
  let found: string[];
  try {
    found = await readdir(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return;
    throw new Refusal(code === "ENOTDIR" ? `${folder} is no folder, or stands in a file.` : `${folder} cannot be read (${code}).`);
  }
  const there = found.filter((name) => name !== ".git").sort();
  if (there.length === 0) return;
  const shown = there.slice(0, 3).join(", ") + (there.length > 3 ? `, … (${there.length} in all)` : "");
  throw new Refusal(`${folder} is not empty (${shown}): name a new folder, or an empty one.`);
}
