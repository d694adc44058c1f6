import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { appendFile, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { registryOf } from "./registry.js";
import { clean, done, serve, type Server } from "./running.js";

const CLONE = resolve(import.meta.dirname, "../../../..");
const COMMANDS = join(CLONE, ".venv/bin");

/** Echoes the question, 50 words a second. */
const MODEL = "small";
export const QUESTION = "Why is the sky blue by day, red in the evening and black at night, and what does a child answer who never saw it?";

/** An app that was made, as a developer makes one. */
export interface App {
  readonly folder: string;
  readonly key: string;
  /** What creating it printed. */
  readonly said: string;
}

/** A platform that runs, a registry that has this clone's packages, and a developer who is logged in, in an empty folder. */
export class Developer {
  readonly home: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly platform: Server;
  readonly #registry: Server;

  private constructor(home: string, env: Readonly<Record<string, string | undefined>>, platform: Server, registry: Server) {
    [this.home, this.env, this.platform, this.#registry] = [home, env, platform, registry];
  }

  static async arrives(): Promise<Developer> {
    const home = await mkdtemp(join(tmpdir(), "create-ollamanet-"));
    const path = `${COMMANDS}:${process.env.PATH}`;
    const own = clean({ PATH: path, XDG_CONFIG_HOME: join(home, "config"), npm_config_update_notifier: "false" });
    const platform = await startPlatform(home, own);
    const login = { ...own, OLLAMANET_URL: platform.url };
    await done("ollamanet login --signup --email dev@example.org --password-stdin", home, login, "correct horse battery\n");
    const packages = [join(CLONE, "sdk/typescript"), join(CLONE, "sdk/create-ollamanet")];
    await mkdir(join(home, "packed"));
    const registry = await registryOf(packages, join(home, "packed"), own);
    // A cache of its own: npm would run another run's create-ollamanet of this version again.
    const env = { ...own, npm_config_registry: registry.url, npm_config_cache: join(home, "cache") };
    return new Developer(home, env, platform, registry);
  }

  /** From an empty folder to an app that is built: each line as a person types it. */
  async makes(template: string): Promise<App> {
    const name = `my-${template}-app`;
    const line = `npm create -y ollamanet ${name} -- --template ${template} --platform ${this.platform.url}`;
    const { text } = await done(line, this.home, this.env);
    const folder = join(this.home, name);
    assert.ok(existsSync(join(folder, "node_modules/ollamanet/dist/index.js")), text);
    const keyLine = text.split("\n").find((one) => one.includes("api-keys create"));
    assert.ok(keyLine, text);
    await done(keyLine, folder, this.env);
    const key = (await readFile(join(folder, ".env"), "utf8")).match(/^OLLAMANET_API_KEY=(\S+)$/m)?.[1];
    assert.ok(key);
    await appendFile(join(folder, ".env"), `OLLAMANET_MODEL=${MODEL}\n`);
    await done("npm run build", folder, this.env);
    return { folder, key, said: text };
  }

  async leaves(): Promise<void> {
    await this.platform.stop();
    await this.#registry.stop();
    await rm(this.home, { recursive: true, force: true });
  }
}

async function startPlatform(home: string, env: Readonly<Record<string, string | undefined>>): Promise<Server> {
  const file = join(home, "url");
  const line = `ollamanet up --backend fake --port 0 --data ${join(home, "data")} --url-file ${file}`;
  const settings = { ...env, OLLAMANET_OPS_PORT: "0", OLLAMANET_SIGNUPS_PER_HOUR: "0" };
  return serve(line, home, settings, () => (existsSync(file) ? readFileSync(file, "utf8").trim() || undefined : undefined));
}
