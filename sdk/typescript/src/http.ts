import { ConnectionError, ProblemError } from "./errors.js";
import { PATIENCE, pauseBefore, retryAfter, wait, type OnRetry, type Patience } from "./patience.js";
import { Session, type SessionOptions } from "./session.js";
import { Watch } from "./watch.js";

/** Where the platform is, and who asks. */
export interface Options extends SessionOptions {
  /** For example `https://chat.example.org`; in a browser the page's own origin by default. */
  readonly baseURL?: string;
  readonly fetch?: typeof fetch;
  readonly patience?: Partial<Patience>;
}

export interface Call {
  readonly method?: "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
  readonly body?: unknown;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  readonly onRetry?: OnRetry | undefined;
  /** False for calls that need no login. */
  readonly login?: boolean;
}

/** An answer whose body was not read yet. Whoever reads it says `watch.end()` at last. */
export interface Opened {
  readonly response: Response;
  readonly watch: Watch;
}

/** Statuses that pass: trying the same again later may work. */
const PASSING = new Set([408, 429, 502, 503, 504]);

/**
 * Calls of the platform: logged in, tried again while that makes sense, errors as exceptions.
 *
 * A call that may be repeated (GET, DELETE, or one with an `Idempotency-Key`) is tried again after 408, 429, 502–504 and lost
 * connections, as the platform's `Retry-After` says. Every call throws ProblemError, ConnectionError, or its signal's reason.
 */
export class Http {
  readonly session: Session;
  readonly patience: Patience;
  readonly #base: string;
  readonly #fetch: typeof fetch;

  constructor(options: Options) {
    this.#base = (options.baseURL ?? "").replace(/\/+$/, "");
    this.#fetch = options.fetch ?? ((input, init) => fetch(input, init)); // unbound, browsers refuse it
    this.patience = { ...PATIENCE, ...options.patience };
    this.session = new Session(options, (refresh) => this.json("/api/auth/refresh", { method: "POST", login: false, ...refresh }));
  }

  /** The JSON of the answer; undefined for an empty one. */
  json<T>(path: string, call: Call = {}): Promise<T> {
    return this.#patiently(path, call, this.patience.answer, async ({ response, watch }) => {
      const text = await response.text().finally(() => watch.end());
      return (text === "" ? undefined : JSON.parse(text)) as T;
    });
  }

  /** The answer of a call that succeeded, for its stream. */
  open(path: string, call: Call): Promise<Opened> {
    return this.#patiently(path, call, this.patience.silence, async (opened) => opened);
  }

  async #patiently<T>(path: string, call: Call, ms: number, read: (opened: Opened) => Promise<T>): Promise<T> {
    const method = call.method ?? "GET";
    const repeatable = method === "GET" || method === "DELETE" || call.headers?.["Idempotency-Key"] !== undefined;
    for (let tried = 1; ; tried++) {
      let trouble: unknown;
      try {
        const opened = await this.#once(path, method, call, ms);
        if (opened.response.ok) return await read(opened);
        trouble = await problemOf(opened.response).finally(() => opened.watch.end());
      } catch (error) {
        trouble = error; // of the way there, or of renewing the login
      }
      call.signal?.throwIfAborted();
      const problem = trouble instanceof ProblemError ? trouble : undefined;
      if (problem !== undefined && !this.#passes(problem)) throw problem;
      if (!repeatable || tried > this.patience.retries) {
        throw problem ?? new ConnectionError(`OllamaNet did not answer ${method} ${path}.`, { cause: trouble });
      }
      const pause = pauseBefore(tried, this.patience, problem?.retryAfterMs);
      call.onRetry?.(trouble, pause);
      await wait(pause, call.signal);
    }
  }

  #passes(problem: ProblemError): boolean {
    return PASSING.has(problem.status) && (problem.retryAfterMs ?? 0) <= this.patience.longestAsked;
  }

  async #once(path: string, method: string, call: Call, ms: number): Promise<Opened> {
    const token = call.login === false ? undefined : await this.session.token();
    const opened = await this.#send(path, method, call, ms, token);
    if (opened.response.status !== 401 || token === undefined) return opened;
    opened.watch.rest(); // renewing has a time of its own
    let fresh: string | undefined;
    try {
      fresh = await this.session.renewed(token); // it may have expired on the way
    } catch (error) {
      await discard(opened);
      throw error;
    }
    if (fresh === undefined) return opened;
    await discard(opened);
    return this.#send(path, method, call, ms, fresh);
  }

  async #send(path: string, method: string, call: Call, ms: number, token: string | undefined): Promise<Opened> {
    const headers = new Headers(call.headers);
    if (token !== undefined) headers.set("Authorization", `Bearer ${token}`);
    const watch = new Watch(ms, call.signal);
    const init: RequestInit = { method, headers, credentials: "same-origin", signal: watch.signal };
    if (call.body !== undefined) {
      headers.set("Content-Type", "application/json");
      init.body = JSON.stringify(call.body);
    }
    try {
      return { response: await this.#fetch(this.#base + path + queryOf(call.query), init), watch };
    } catch (error) {
      watch.end();
      throw error;
    }
  }
}

async function discard({ response, watch }: Opened): Promise<void> {
  watch.end();
  await response.body?.cancel();
}

function queryOf(query: Call["query"]): string {
  const given = Object.entries(query ?? {}).filter(([, value]) => value !== undefined);
  return given.length === 0 ? "" : `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}

/** The problem of an answer; also of one that something in between wrote. */
async function problemOf(response: Response): Promise<ProblemError> {
  const text = await response.text().catch(() => "");
  let body: Record<string, unknown> = {};
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === "object" && parsed !== null) body = parsed as Record<string, unknown>;
  } catch {
    body = { title: response.statusText };
  }
  return new ProblemError(response.status, body, retryAfter(response.headers));
}
