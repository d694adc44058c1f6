import { ConnectionError, ProblemError } from "./errors.js";
import { PATIENCE, pauseBefore, retryAfter, wait, type OnRetry, type Patience } from "./patience.js";
import { Session, type SessionOptions } from "./session.js";

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

/** Statuses that pass: trying the same again later may work. */
const PASSING = new Set([408, 429, 502, 503, 504]);

/** Calls of the platform: logged in, tried again while that makes sense, errors as exceptions. */
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
  async json<T>(path: string, call: Call = {}): Promise<T> {
    const response = await this.answer(path, call);
    const text = await response.text();
    return (text === "" ? undefined : JSON.parse(text)) as T;
  }

  /**
   * The answer of a call that succeeded.
   *
   * A call that may be repeated (GET, DELETE, or one with an `Idempotency-Key`) is tried again after 408, 429, 502–504 and
   * lost connections, as the platform's `Retry-After` says.
   *
   * @throws ProblemError, ConnectionError, or the signal's reason.
   */
  async answer(path: string, call: Call = {}): Promise<Response> {
    const method = call.method ?? "GET";
    const repeatable = method === "GET" || method === "DELETE" || call.headers?.["Idempotency-Key"] !== undefined;
    for (let tried = 1; ; tried++) {
      const last = !repeatable || tried > this.patience.retries;
      let asked: number | undefined;
      let trouble: unknown;
      try {
        const response = await this.#once(path, method, call);
        if (response.ok) return response;
        const problem = await problemOf(response);
        if (last || !PASSING.has(problem.status)) throw problem;
        asked = problem.retryAfterMs;
        trouble = problem;
      } catch (error) {
        if (error instanceof ProblemError || call.signal?.aborted) throw error;
        if (last) throw new ConnectionError(`OllamaNet did not answer ${method} ${path}.`, { cause: error });
        trouble = error;
      }
      const pause = pauseBefore(tried, this.patience, asked);
      call.onRetry?.(trouble, pause);
      await wait(pause, call.signal);
    }
  }

  async #once(path: string, method: string, call: Call): Promise<Response> {
    const token = call.login === false ? undefined : await this.session.token();
    const response = await this.#send(path, method, call, token);
    if (response.status !== 401 || token === undefined) return response;
    const fresh = await this.session.renewed(token); // it may have expired on the way
    if (fresh === undefined) return response;
    await response.body?.cancel();
    return this.#send(path, method, call, fresh);
  }

  #send(path: string, method: string, call: Call, token: string | undefined): Promise<Response> {
    const headers = new Headers(call.headers);
    if (token !== undefined) headers.set("Authorization", `Bearer ${token}`);
    const init: RequestInit = { method, headers, credentials: "same-origin", signal: call.signal ?? null };
    if (call.body !== undefined) {
      headers.set("Content-Type", "application/json");
      init.body = JSON.stringify(call.body);
    }
    return this.#fetch(this.#base + path + queryOf(call.query), init);
  }
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
    body = JSON.parse(text) as Record<string, unknown>;
  } catch {
    body = { title: response.statusText };
  }
  return new ProblemError(response.status, body, retryAfter(response.headers));
}
