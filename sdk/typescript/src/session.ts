import { ProblemError } from "./errors.js";
import type { Tokens } from "./types.js";

/** Who asks: an API key, or a person's tokens. */
export interface SessionOptions {
  /** An API key; it never changes. */
  readonly apiKey?: string;
  /** In a page of the platform's own origin: the refresh token stays in a cookie that no script can read. See `auth.resume()`. */
  readonly cookie?: boolean;
  /** Tokens of an earlier login. */
  readonly tokens?: { readonly access_token: string; readonly refresh_token: string };
  /** Called with every new pair, and with `null` when the session has ended: keep them, if they are to survive this process. */
  readonly onTokens?: (tokens: Tokens | null) => void;
}

/** Asks for a new pair. */
export type Refresh = (call: { readonly body: { readonly refresh_token?: string } }) => Promise<Tokens>;

/** This long before its end (ms) an access token is renewed. */
const EARLY = 30_000;

/** The caller's credentials. Renewing happens once, however many calls wait for it. */
export class Session {
  readonly #apiKey: string | undefined;
  /** Whether a cookie holds the refresh token. */
  readonly cookie: boolean;
  readonly #onTokens: ((tokens: Tokens | null) => void) | undefined;
  readonly #refresh: Refresh;
  #access: string | undefined;
  #refreshToken: string | undefined;
  #ends = Infinity;
  #renewing: Promise<string | undefined> | undefined;
  /** Counts logins, renewals and ends: what a renewal finds changed when it comes back was somebody's later word. */
  #changes = 0;

  constructor(options: SessionOptions, refresh: Refresh) {
    this.#apiKey = options.apiKey;
    this.cookie = options.cookie ?? false;
    this.#access = options.tokens?.access_token;
    this.#refreshToken = options.tokens?.refresh_token;
    this.#onTokens = options.onTokens;
    this.#refresh = refresh;
  }

  /** The refresh token, for logging out. */
  get refreshToken(): string | undefined {
    return this.#refreshToken;
  }

  /** What goes into `Authorization`; undefined when nobody is logged in. */
  async token(): Promise<string | undefined> {
    if (this.#apiKey !== undefined) return this.#apiKey;
    if (this.#access !== undefined && Date.now() > this.#ends - EARLY) return (await this.renewed(this.#access)) ?? this.#access;
    return this.#access;
  }

  /** Another token than this one, which was refused; undefined when there is none to be had. */
  async renewed(refused: string | undefined): Promise<string | undefined> {
    if (this.#apiKey !== undefined) return undefined;
    if (this.#access !== refused) return this.#access; // somebody else's call renewed it meanwhile
    this.#renewing ??= this.#renew().finally(() => (this.#renewing = undefined));
    return this.#renewing;
  }

  /** Keep a pair that a login or a refresh gave. */
  keep(tokens: Tokens): Tokens {
    this.#changes++;
    this.#access = tokens.access_token;
    this.#refreshToken = tokens.refresh_token ?? this.#refreshToken;
    this.#ends = Date.now() + tokens.expires_in * 1000;
    this.#onTokens?.(tokens);
    return tokens;
  }

  /** Forget who was logged in. */
  forget(): void {
    this.#changes++;
    this.#access = this.#refreshToken = undefined;
    this.#onTokens?.(null);
  }

  async #renew(): Promise<string | undefined> {
    const token = this.#refreshToken;
    if (token === undefined && !this.cookie) return undefined;
    const before = this.#changes;
    try {
      const tokens = await this.#refresh({ body: token === undefined ? {} : { refresh_token: token } });
      return before === this.#changes ? this.keep(tokens).access_token : this.#access;
    } catch (error) {
      if (!(error instanceof ProblemError) || error.status !== 401) throw error;
      if (before === this.#changes) this.forget();
      return this.#access;
    }
  }
}
