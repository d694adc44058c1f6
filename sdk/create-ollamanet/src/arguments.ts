import { parseArgs } from "node:util";
import { Refusal } from "./refusal.js";
import { TEMPLATES, type Template } from "./templates.js";

/** What was typed. What is undefined was not. */
export interface Wanted {
  readonly folder: string | undefined;
  readonly template: Template | undefined;
  readonly platform: string;
  readonly install: boolean;
  readonly show: "help" | "version" | undefined;
}

/** Where `make run` and `ollamanet up` listen. */
export const PLATFORM = "http://127.0.0.1:8080";

export const HELP = `npm create ollamanet [folder] -- [options]

  --template react|node|next   ${Object.values(TEMPLATES).join(", ")}; asked for when missing, react where nobody can be asked
  --platform URL               the OllamaNet that it talks to (${PLATFORM})
  --install, --no-install      install its packages (yes)
  --version, --help

npm keeps options for itself unless they come after "--"; pnpm, yarn and bun need no "--".`;

const TYPED = "npm create ollamanet my-app -- --template node";

/**
 * Reads the command line.
 *
 * npm takes options before `--` for itself and leaves them, as `npm_config_…`, in the environment: never make something else than
 * what was meant, silently.
 *
 * @throws Refusal
 */
export function parse(argv: readonly string[], env: Readonly<Record<string, string | undefined>>): Wanted {
  const { values, positionals } = read(argv);
  if (values.help) return { ...NOTHING, show: "help" };
  if (values.version) return { ...NOTHING, show: "version" };
  const swallowed = ["template", "platform", "install"].filter((name) => env[`npm_config_${name}`] !== undefined);
  if (swallowed.length > 0 || positionals.length > 1) {
    const what = swallowed.length > 0 ? `--${swallowed[0]} did not arrive` : `One folder, not ${positionals.length} (${positionals.join(", ")})`;
    throw new Refusal(`${what}. npm keeps options for itself unless they come after "--": ${TYPED}`);
  }
  return {
    folder: positionals[0],
    template: values.template === undefined ? undefined : templateNamed(values.template),
    platform: platformAt(values.platform ?? PLATFORM),
    install: values.install ?? true,
    show: undefined,
  };
}

const NOTHING = { folder: undefined, template: undefined, platform: PLATFORM, install: false } as const;

function read(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      allowNegative: true,
      options: {
        template: { type: "string", short: "t" },
        platform: { type: "string" },
        install: { type: "boolean" },
        help: { type: "boolean", short: "h" },
        version: { type: "boolean", short: "v" },
      },
    });
  } catch (error) {
    const said = (error as Error).message.split(/\. |\n/, 1)[0];
    throw new Refusal(`${said}. See: npm create ollamanet -- --help`);
  }
}

function templateNamed(name: string): Template {
  if (Object.hasOwn(TEMPLATES, name)) return name as Template;
  throw new Refusal(`There is no template ${JSON.stringify(name)}: ${Object.keys(TEMPLATES).join(", ")}.`);
}

/** An origin, with a path where the platform has one; without a slash at its end. It is shown in a command, so nothing in it means something to a shell. */
function platformAt(given: string): string {
  const url = URL.canParse(given) ? new URL(given) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username || url.password || url.search || url.hash || /[^\w.:/[\]~%-]/.test(url.href)) {
    throw new Refusal(`--platform ${JSON.stringify(given)} is no address of a platform: write it like ${PLATFORM}`);
  }
  return url.href.replace(/\/+$/, "");
}
