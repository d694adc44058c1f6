import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

type Environment = Readonly<Record<string, string | undefined>>;

const running = new Set<ChildProcess>();

/** A run that is broken off ends what it started: a platform by its own way, for it has a child in a group of its own. */
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    for (const child of running) if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGTERM");
    process.exit(1);
  });
}

/** What a command wrote, and when: milliseconds since it began. */
export interface Said {
  readonly code: number | null;
  readonly text: string;
  readonly errors: string;
  readonly pieces: readonly { readonly at: number; readonly text: string }[];
}

/** The test's own environment, without settings of the platform or of an npm that runs this. */
export function clean(more: Environment = {}): Environment {
  const kept = Object.entries(process.env).filter(([name]) => !/^(OLLAMANET_|npm_|NODE_TEST|INIT_CWD$|CI$)/.test(name));
  return { ...Object.fromEntries(kept), NEXT_TELEMETRY_DISABLED: "1", ...more };
}

/** Runs a line of shell, as typed, to its end; ended itself after `seconds`. */
export async function typed(line: string, cwd: string, env: Environment, input = "", seconds = 180): Promise<Said> {
  const began = performance.now();
  const child = spawn("sh", ["-c", line], { cwd, env, stdio: "pipe", detached: true });
  running.add(child);
  const limit = setTimeout(() => end(child), seconds * 1000);
  const pieces: { at: number; text: string }[] = [];
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => pieces.push({ at: performance.now() - began, text }));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
  child.stdin.end(input);
  const [code] = (await once(child, "close")) as [number | null];
  clearTimeout(limit);
  running.delete(child);
  return { code, text: pieces.map((piece) => piece.text).join(""), errors, pieces };
}

/** As `typed`, for what must succeed. */
export async function done(line: string, cwd: string, env: Environment, input = ""): Promise<Said> {
  const said = await typed(line, cwd, env, input);
  if (said.code !== 0) throw new Error(`${line} ended with ${said.code}:\n${said.text}\n${said.errors}`);
  return said;
}

/** A server that was started by a test, and is ended by it. */
export interface Server {
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts a line of shell and waits until `url` gives an address that answers. */
export async function serve(line: string, cwd: string, env: Environment, url: () => string | undefined): Promise<Server> {
  const child = spawn("sh", ["-c", `exec ${line}`], { cwd, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
  running.add(child);
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-8000)));
  const gone = once(child, "exit");
  const stop = async () => {
    running.delete(child);
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM"); // it ends what it started itself
    await Promise.race([gone, pause(15_000, undefined, { ref: false })]);
    end(child); // npm leaves its own child behind
    await gone;
  };
  const deadline = performance.now() + 60_000;
  while (performance.now() < deadline && child.exitCode === null) {
    const at = url();
    if (at !== undefined && (await answers(at))) return { url: at, stop };
    await pause(50);
  }
  await stop();
  throw new Error(`${line} did not start:\n${said}`);
}

/** A port of the loopback that nobody listens on now. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, "close");
  return port;
}

async function answers(url: string): Promise<boolean> {
  return fetch(url, { signal: AbortSignal.timeout(2000) }).then((response) => response.body?.cancel().then(() => true) ?? true, () => false);
}

/** Ends a child's group, of which it may be gone itself. */
function end(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
