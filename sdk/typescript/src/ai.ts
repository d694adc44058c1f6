import type { OllamaNet } from "./client.js";
import type { Reply } from "./reply.js";
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
 * Give a known chat to `useChat({ id })` to go on in it. After `restarted` a `data-restarted` part follows: render what comes
 * after the last one.
 */
export class OllamaNetTransport {
  readonly #client: OllamaNet;
  readonly #options: TransportOptions;
  readonly #chats = new Map<string, string>();

  constructor(client: OllamaNet, options: TransportOptions) {
    this.#client = client;
    this.#options = options;
  }

  /** Ask the last message. */
  async sendMessages(call: {
    readonly chatId: string;
    readonly messages: readonly AskedMessage[];
    readonly abortSignal?: AbortSignal | undefined;
  }): Promise<ReadableStream<Chunk>> {
    const content = (call.messages.at(-1)?.parts ?? []).map((part) => (part.type === "text" ? (part.text ?? "") : "")).join("");
    const first = call.messages.filter((message) => message.role === "user").length <= 1;
    const known = this.#chats.get(call.chatId) ?? (first ? undefined : call.chatId);
    const chat = known === undefined ? {} : { chat_id: known };
    const follow = call.abortSignal === undefined ? {} : { signal: call.abortSignal, onAbort: "cancel" as const };
    const question = { model: this.#options.model, ...this.#options.question, ...chat, content };
    return this.#chunks(call.chatId, this.#client.chats.stream(question, follow));
  }

  /** What is still being written in a chat; null when nothing is. */
  async reconnectToStream(call: { readonly chatId: string }): Promise<ReadableStream<Chunk> | null> {
    const chat = await this.#client.chats.get(this.#chats.get(call.chatId) ?? call.chatId).catch(() => undefined);
    const last = chat?.messages?.at(-1);
    if (last?.status !== "streaming" || !last.generation_id) return null;
    return this.#chunks(call.chatId, this.#client.generations.follow(last.generation_id));
  }

  /** Pulled, so that a slow reader slows nobody; `Reply` reconnects inside. */
  #chunks(chatId: string, reply: Reply): ReadableStream<Chunk> {
    const writer = new Parts();
    const events = reply[Symbol.asyncIterator]();
    return new ReadableStream<Chunk>({
      pull: async (controller) => {
        for (;;) {
          const next = await events.next().catch((error: unknown) => error as Error);
          if (next instanceof Error) {
            for (const chunk of writer.failed(next.message)) controller.enqueue(chunk);
            return controller.close();
          }
          if (next.done) return controller.close();
          if (next.value.event === "accepted") this.#chats.set(chatId, next.value.data.chat_id);
          const chunks = writer.of(next.value);
          for (const chunk of chunks) controller.enqueue(chunk);
          if (chunks.length > 0) return;
        }
      },
      cancel: async () => {
        await events.return();
      },
    });
  }
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
        return [...this.#close(), { type: "abort" }];
      case "failed":
        return this.failed(event.data.message);
      default:
        return [];
    }
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
