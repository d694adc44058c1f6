import type { OllamaNet } from "./client.js";
import { ProblemError } from "./errors.js";
import { isPlatformId } from "./ids.js";
import type { FollowOptions, Reply } from "./reply.js";
import type { Question, StreamEvent } from "./types.js";

/** The part of the AI SDK's `UIMessage` that is read. */
interface AskedMessage {
  readonly id: string;
  readonly role: string;
  readonly parts: readonly { readonly type: string; readonly text?: string }[];
}

/** The chunks of the AI SDK's UI message stream that are written. */
export type Chunk =
  | { readonly type: "start"; readonly messageId?: string; readonly messageMetadata?: unknown }
  | { readonly type: "text-start" | "text-end" | "reasoning-start" | "reasoning-end"; readonly id: string }
  | { readonly type: "text-delta" | "reasoning-delta"; readonly id: string; readonly delta: string }
  | { readonly type: "tool-input-available"; readonly toolCallId: string; readonly toolName: string; readonly input: unknown; readonly dynamic: true }
  | { readonly type: "data-queued"; readonly data: unknown; readonly transient: true }
  | { readonly type: "data-restarted"; readonly id: string; readonly data: unknown }
  | { readonly type: "error"; readonly errorText: string }
  | { readonly type: "abort" }
  | { readonly type: "finish"; readonly finishReason?: "stop" | "length" | "tool-calls" | "error" | "other" };

export interface TransportOptions {
  readonly model: string;
  /** More of the question, for example `system` or `options`. */
  readonly question?: Partial<Question>;
}

/**
 * A transport for the AI SDK's `useChat`: `new Chat({ transport: new OllamaNetTransport(client, { model: "small" }) })`.
 *
 * The AI SDK mints chat ids, OllamaNet mints its own: the first question of a chat begins one, and its id is remembered here.
 * Give a known chat to `useChat({ id, messages })` to go on in it. A question answers the reply that stands before it, so that
 * asking again, or otherwise, begins a branch there; the first question, asked again, begins a chat of its own. `stop()` cancels
 * the reply. After `restarted` a `data-restarted` part follows: render what comes after the last one.
 */
export class OllamaNetTransport {
  /** Reconnecting tells the reply from its beginning. */
  readonly resumeStreamIsReplay = true;
  readonly #client: OllamaNet;
  readonly #options: TransportOptions;
  readonly #chats = new Map<string, string>();

  constructor(client: OllamaNet, options: TransportOptions) {
    this.#client = client;
    this.#options = options;
  }

  /** Ask the last message. `body` holds more of the question, for this time. */
  async sendMessages(call: {
    readonly chatId: string;
    readonly messages: readonly AskedMessage[];
    readonly abortSignal?: AbortSignal | undefined;
    readonly trigger?: "submit-message" | "regenerate-message";
    readonly body?: object | undefined;
  }): Promise<ReadableStream<Chunk>> {
    const content = (call.messages.at(-1)?.parts ?? []).map((part) => (part.type === "text" ? (part.text ?? "") : "")).join("");
    const place = this.#place(call.chatId, call.messages, call.trigger === "regenerate-message");
    const question = { model: this.#options.model, ...this.#options.question, ...call.body, ...place, content };
    return this.#chunks(call.chatId, this.#client.chats.stream(question, stopping(call.abortSignal)), call.abortSignal);
  }

  /** What is still being written in a chat; null when nothing is, or where there is no such chat. */
  async reconnectToStream(call: {
    readonly chatId: string;
    readonly abortSignal?: AbortSignal | undefined;
  }): Promise<ReadableStream<Chunk> | null> {
    const known = this.#chats.get(call.chatId) ?? call.chatId;
    if (!isPlatformId(known)) return null;
    const reply = await this.#client.chats.follow(known, stopping(call.abortSignal)).catch((error: unknown) => {
      if (error instanceof ProblemError && error.status === 404) return undefined;
      throw error;
    });
    if (reply === undefined) return null;
    this.#chats.set(call.chatId, known);
    return this.#chunks(call.chatId, reply, call.abortSignal);
  }

  /** Which chat is asked in, and after which of its replies. */
  #place(id: string, messages: readonly AskedMessage[], again: boolean): { chat_id?: string; parent_id?: string } {
    const first = messages.filter((message) => message.role === "user").length <= 1;
    if (first && again) return {};
    const chat = this.#chats.get(id) ?? (first ? undefined : id);
    const before = messages.at(-2);
    const parent = before?.role === "assistant" && isPlatformId(before.id) ? { parent_id: before.id } : {};
    return chat === undefined ? {} : { chat_id: chat, ...parent };
  }

  /** Pulled, so that a slow reader slows nobody; `Reply` reconnects inside. */
  #chunks(chatId: string, reply: Reply, signal?: AbortSignal): ReadableStream<Chunk> {
    const writer = new Parts();
    const events = reply[Symbol.asyncIterator]();
    const next = async (): Promise<readonly Chunk[] | undefined> => {
      for (;;) {
        const { done, value } = await events.next();
        if (done) return undefined;
        if (value.event === "accepted") this.#chats.set(chatId, value.data.chat_id);
        const chunks = writer.of(value);
        if (chunks.length > 0) return chunks;
      }
    };
    return new ReadableStream<Chunk>({
      pull: async (controller) => {
        let chunks: readonly Chunk[] | undefined;
        try {
          chunks = await next();
        } catch (error) {
          const last = signal?.aborted ? writer.cancelled() : writer.failed(error instanceof Error ? error.message : String(error));
          for (const chunk of last) controller.enqueue(chunk);
        }
        for (const chunk of chunks ?? []) controller.enqueue(chunk);
        if (chunks === undefined) controller.close();
      },
      cancel: async () => {
        await events.return();
      },
    });
  }
}

/** The AI SDK aborts where a person stops the reply. */
function stopping(signal: AbortSignal | undefined): FollowOptions {
  return signal === undefined ? {} : { signal, onAbort: "cancel" };
}

/** Opens and closes the parts that the AI SDK wants around text and reasoning. */
class Parts {
  #open: { kind: "text" | "reasoning"; id: string } | undefined;
  #count = 0;

  of(event: StreamEvent): Chunk[] {
    switch (event.event) {
      case "accepted":
        return [{ type: "start", messageId: event.data.reply_id, messageMetadata: event.data }];
      case "queued":
        return [{ type: "data-queued", data: event.data, transient: true }];
      case "token":
        return [...this.#in("text"), { type: "text-delta", id: this.#id, delta: event.data.text }];
      case "thinking":
        return [...this.#in("reasoning"), { type: "reasoning-delta", id: this.#id, delta: event.data.text }];
      case "restarted":
        return [...this.#close(), { type: "data-restarted", id: `restarted-${++this.#count}`, data: event.data }];
      case "completed":
        return [...this.#close(), { type: "finish", finishReason: REASONS[event.data.finish_reason] ?? "other" }];
      case "cancelled":
        return this.cancelled();
      case "tool_call": {
        const { id, name, arguments: input } = event.data;
        return [...this.#close(), { type: "tool-input-available", toolCallId: id, toolName: name, input, dynamic: true }];
      }
      case "failed":
        return this.failed(event.data.message);
      default:
        return [];
    }
  }

  cancelled(): Chunk[] {
    return [...this.#close(), { type: "abort" }];
  }

  failed(message: string): Chunk[] {
    return [...this.#close(), { type: "error", errorText: message }, { type: "finish", finishReason: "error" }];
  }

  get #id(): string {
    return this.#open?.id ?? "";
  }

  #in(kind: "text" | "reasoning"): Chunk[] {
    if (this.#open?.kind === kind) return [];
    const closed = this.#close();
    this.#open = { kind, id: `${kind}-${++this.#count}` };
    return [...closed, { type: `${kind}-start`, id: this.#id }];
  }

  #close(): Chunk[] {
    if (this.#open === undefined) return [];
    const { kind, id } = this.#open;
    this.#open = undefined;
    return [{ type: `${kind}-end`, id }];
  }
}

const REASONS: Readonly<Record<string, "stop" | "length" | "tool-calls">> = { stop: "stop", length: "length", tool_calls: "tool-calls" };
