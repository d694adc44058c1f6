import { Http, type Options } from "./http.js";
import { randomId } from "./ids.js";
import { Reply, type FollowOptions } from "./reply.js";
import type {
  AcceptedQuestion, ApiKey, ApiKeyList, Chat, ChatList, Generation, Model, ModelList, NewApiKey, Question, SecretApiKey, Tokens, User,
  WholeChat,
} from "./types.js";

/** How to ask: `idempotencyKey` is minted where you give none; the same key never asks twice. */
export interface AskOptions extends FollowOptions {
  readonly idempotencyKey?: string;
}

/** Which page of a list. */
export interface PageOptions {
  readonly limit?: number;
  readonly cursor?: string;
  readonly signal?: AbortSignal;
}

/**
 * A client of one OllamaNet.
 *
 * ```ts
 * const net = new OllamaNet({ baseURL: "http://127.0.0.1:8080", apiKey: process.env.OLLAMANET_API_KEY });
 * for await (const event of net.chats.stream({ model: "small", content: "Why is the sky blue?" })) {
 *   if (event.event === "token") process.stdout.write(event.data.text);
 * }
 * ```
 */
export class OllamaNet {
  readonly auth: Auth;
  readonly chats: Chats;
  readonly generations: Generations;
  readonly models: Models;
  readonly keys: Keys;

  constructor(options: Options = {}) {
    const http = new Http(options);
    this.auth = new Auth(http);
    this.chats = new Chats(http);
    this.generations = new Generations(http);
    this.models = new Models(http);
    this.keys = new Keys(http);
  }
}

/** Accounts. After `signUp` and `logIn` every further call is that person's, and tokens renew themselves. */
export class Auth {
  readonly #http: Http;
  constructor(http: Http) {
    this.#http = http;
  }

  /** @throws ProblemError `email_taken` */
  async signUp(email: string, password: string, displayName?: string): Promise<User> {
    const name = displayName === undefined ? {} : { display_name: displayName };
    return this.#enter("/api/auth/signup", { email, password, ...name });
  }

  /** @throws ProblemError `bad_credentials`, `account_suspended` */
  async logIn(email: string, password: string): Promise<User> {
    return this.#enter("/api/auth/login", { email, password });
  }

  /** End the session, here and on the platform. */
  async logOut(): Promise<void> {
    const { refreshToken, cookie } = this.#http.session;
    this.#http.session.forget();
    if (refreshToken === undefined && !cookie) return;
    const body = refreshToken === undefined ? {} : { refresh_token: refreshToken };
    await this.#http.json("/api/auth/logout", { method: "POST", body, login: false });
  }

  /** For pages with `cookie`: log in again by the cookie of an earlier login; undefined where there is none. */
  async resume(): Promise<User | undefined> {
    return (await this.#http.session.renewed(undefined)) === undefined ? undefined : this.me();
  }

  /** Who is logged in. */
  me(): Promise<User> {
    return this.#http.json("/api/auth/me");
  }

  async #enter(path: string, body: object): Promise<User> {
    const whole = this.#http.session.cookie ? { ...body, cookie: true } : body;
    return this.#http.session.keep(await this.#http.json<Tokens>(path, { method: "POST", body: whole, login: false })).user;
  }
}

/** Chats and the questions in them. */
export class Chats {
  readonly #http: Http;
  constructor(http: Http) {
    this.#http = http;
  }

  /** Ask, and see the reply as it is written. Nothing is sent before you iterate, or call `answer()`. */
  stream(question: Question, options: AskOptions = {}): Reply {
    const headers = { "Idempotency-Key": options.idempotencyKey ?? randomId(), Accept: "text/event-stream" };
    const open = (signal: AbortSignal | undefined) =>
      this.#http.open("/api/chats/stream", { method: "POST", body: question, headers, signal, onRetry: options.onRetry });
    return new Reply(this.#http, options, open);
  }

  /** Ask in an existing chat without watching. */
  ask(chatId: string, question: Omit<Question, "chat_id">, options: AskOptions = {}): Promise<AcceptedQuestion> {
    const headers = { "Idempotency-Key": options.idempotencyKey ?? randomId() };
    const path = `/api/chats/${encodeURIComponent(chatId)}/messages`;
    return this.#http.json(path, { method: "POST", body: question, headers, signal: options.signal });
  }

  /** One page, the last touched first. */
  list(options: PageOptions = {}): Promise<ChatList> {
    return this.#http.json("/api/chats", { query: { limit: options.limit, cursor: options.cursor }, signal: options.signal });
  }

  /** All of them, page by page. */
  async *all(options: Omit<PageOptions, "cursor"> = {}): AsyncGenerator<Chat, void, void> {
    for (let cursor: string | undefined, more = true; more; ) {
      const page = await this.list({ ...options, ...(cursor === undefined ? {} : { cursor }) });
      yield* page.items;
      cursor = page.next_cursor ?? undefined;
      more = cursor !== undefined;
    }
  }

  /** One chat with its messages, finished or still streaming. */
  get(chatId: string): Promise<WholeChat> {
    return this.#http.json(`/api/chats/${encodeURIComponent(chatId)}`);
  }

  /** The newest reply that is being written in a chat, from its start; undefined where none is. */
  async follow(chatId: string, options: Omit<FollowOptions, "after"> = {}): Promise<Reply | undefined> {
    const call = { headers: { Accept: "text/event-stream" }, onRetry: options.onRetry };
    const open = (signal: AbortSignal | undefined) =>
      this.#http.open(`/api/chats/${encodeURIComponent(chatId)}/stream`, { ...call, signal });
    const first = await open(options.signal);
    if (first.response.status === 204) {
      first.watch.end();
      return undefined;
    }
    let opened: typeof first | undefined = first;
    return new Reply(this.#http, options, async (signal) => {
      const found = opened ?? (await open(signal));
      opened = undefined;
      return found;
    });
  }

  rename(chatId: string, title: string): Promise<Chat> {
    return this.#http.json(`/api/chats/${encodeURIComponent(chatId)}`, { method: "PATCH", body: { title } });
  }

  /** Delete a chat for good; what still runs in it is cancelled. */
  delete(chatId: string): Promise<void> {
    return this.#http.json(`/api/chats/${encodeURIComponent(chatId)}`, { method: "DELETE" });
  }
}

/** Runs of a model. */
export class Generations {
  readonly #http: Http;
  constructor(http: Http) {
    this.#http = http;
  }

  get(generationId: string): Promise<Generation> {
    return this.#http.json(`/api/generations/${encodeURIComponent(generationId)}`);
  }

  /** Follow a generation that was started elsewhere, from its start or after an event. */
  follow(generationId: string, options: FollowOptions = {}): Reply {
    return new Reply(this.#http, options, undefined, encodeURIComponent(generationId));
  }

  /** Stop it, from any device. */
  cancel(generationId: string): Promise<void> {
    return this.follow(generationId).cancel();
  }
}

/** What may be asked. */
export class Models {
  readonly #http: Http;
  constructor(http: Http) {
    this.#http = http;
  }

  list(query: { readonly q?: string; readonly tag?: string; readonly capability?: string } & PageOptions = {}): Promise<ModelList> {
    const { signal, ...rest } = query;
    return this.#http.json("/api/models", { query: rest, signal });
  }

  get(name: string): Promise<Model> {
    return this.#http.json(`/api/models/${name.split("/").map(encodeURIComponent).join("/")}`);
  }
}

/** The API keys of whoever is logged in. */
export class Keys {
  readonly #http: Http;
  constructor(http: Http) {
    this.#http = http;
  }

  /** Make one; its `secret` is shown this once. */
  create(key: NewApiKey, options: { readonly idempotencyKey?: string } = {}): Promise<SecretApiKey> {
    const headers = { "Idempotency-Key": options.idempotencyKey ?? randomId() };
    return this.#http.json("/api/auth/keys", { method: "POST", body: key, headers });
  }

  /** One page, the newest first. */
  list(options: PageOptions = {}): Promise<ApiKeyList> {
    return this.#http.json("/api/auth/keys", { query: { limit: options.limit, cursor: options.cursor }, signal: options.signal });
  }

  /** Within a second, calls and streams with it end. */
  revoke(id: string): Promise<void> {
    return this.#http.json(`/api/auth/keys/${encodeURIComponent(id)}`, { method: "DELETE" });
  }
}
