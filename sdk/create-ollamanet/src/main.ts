import { readFile } from "node:fs/promises";
import { relative } from "node:path";
import { HELP, parse, PLATFORM, type Wanted } from "./arguments.js";
import { ask, assume, Left } from "./asking.js";
import { install, managerOf, type Manager } from "./manager.js";
import { packageName, refuseUsed } from "./naming.js";
import { Refusal } from "./refusal.js";
import { copy, dependencies, TEMPLATES, type Template } from "./templates.js";

/** Exit codes: refused, and left by Ctrl-C. */
const REFUSED = 2;
const LEFT = 130;

/** What is typed in each template's folder to see it work. */
const START: Readonly<Record<Template, string>> = { react: "run dev", node: "start", next: "run dev" };

type Environment = Readonly<Record<string, string | undefined>>;

/** Makes an app; the exit code. `root`: this package's folder. */
export async function main(argv: readonly string[], env: Environment, interactive: boolean, root: URL): Promise<number> {
  try {
    const wanted = parse(argv, env);
    if (wanted.show === "help") say(HELP);
    else if (wanted.show === "version") say(await version(root));
    else return await make(wanted, managerOf(env.npm_config_user_agent), interactive, new URL("templates/", root));
    return 0;
  } catch (error) {
    if (error instanceof Left) say("Nothing was made.");
    else if (error instanceof Refusal) complain(error.message);
    else if (isOfSystem(error)) complain(`It could not be written: ${error.message}.`);
    else throw error;
    return error instanceof Left ? LEFT : REFUSED;
  }
}

async function make(wanted: Wanted, manager: Manager, interactive: boolean, templates: URL): Promise<number> {
  const { folder, template } = interactive ? await ask(wanted) : assume(wanted);
  const name = packageName(folder, await dependencies(templates, template));
  await refuseUsed(folder);
  await copy(templates, template, folder, { name, platform: wanted.platform, manager });
  say(`${TEMPLATES[template]}: ${folder} is written.`);
  const trouble = wanted.install ? await installed(manager, folder) : undefined;
  say(next(folder, name, manager, template, wanted, trouble !== undefined || !wanted.install));
  if (trouble === undefined) return 0;
  complain(trouble.sentence);
  return trouble.code;
}

async function installed(manager: Manager, folder: string): Promise<{ sentence: string; code: number } | undefined> {
  say(`Its packages are being installed by ${manager} (--no-install leaves that to you) ...`);
  const how = await install(manager, folder);
  if ("missing" in how) return { sentence: `The packages were not installed: ${manager} could not be started (${how.missing}).`, code: 1 };
  if ("signal" in how) return { sentence: "The packages were not installed: it was broken off.", code: LEFT };
  if (how.code === LEFT) return { sentence: "The packages were not installed: it was broken off.", code: LEFT };
  if (how.code !== 0) return { sentence: `The packages were not installed: ${manager} gave up, see above.`, code: 1 };
  return undefined;
}

/** What is left to type. */
export function next(folder: string, name: string, manager: Manager, template: Template, wanted: Wanted, installs: boolean): string {
  const shown = relative(process.cwd(), folder) || ".";
  const where = wanted.platform === PLATFORM ? "" : `OLLAMANET_URL=${wanted.platform} `;
  const lines = [
    ...(shown === "." ? [] : [`cd ${/^[\w./-]+$/.test(shown) ? shown : JSON.stringify(shown)}`]),
    ...(installs ? [`${manager} install`] : []),
    `echo "OLLAMANET_API_KEY=$(${where}ollamanet api-keys create ${name})" >> .env`,
    `${manager} ${START[template]}`,
  ];
  return ["Next:", ...lines.map((line) => `  ${line}`), "The key needs a platform that runs, and a login there (ollamanet login --signup): see README.md."].join("\n");
}

async function version(root: URL): Promise<string> {
  return (JSON.parse(await readFile(new URL("package.json", root), "utf8")) as { version: string }).version;
}

function isOfSystem(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "syscall" in error;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function complain(line: string): void {
  process.stderr.write(`create-ollamanet: ${line}\n`);
}
