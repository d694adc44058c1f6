import {
  ConnectionError, ProblemError, type FollowOptions, type Message, type Question, type Reply, type StreamEvent, type Usage,
} from "ollamanet";
import { net, sentence } from "./client";

const LOST = "The connection is lost; the answer goes on, and comes here when it is back.";
/** Milliseconds before the next attempt, where nobody says that the network is back. */
const PATIENCE = 5_000;

/** A reply while it is written. The text grows in place; who draws it is told once for each frame of the screen. */
export class LiveReply {
  id = "";
  generationId: string | undefined;
  text = "";
  thinking = "";
  tools: readonly { readonly name: string; readonly arguments?: unknown }[] = [];
  status: "waiting" | "streaming" | "complete" | "cancelled" | "failed" = "waiting";
  queue: { readonly position: number; readonly eta_ms: number | null } | undefined;
  backend: string | undefined;
  usage: Usage | undefined;
  rate: number | undefined;
  /** Why it failed or was refused. */
  error = "";
  code: string | undefined;
  /** What is in the way just now; it is tried again. */
  trouble = "";
  stopping = false;
  /** How often the reply began again: what was drawn of it before is void. */
  restarts = 0;
  readonly #left = new AbortController();
  #leaving = false;
  #reply: Reply | undefined;
  #frame = 0;

  constructor(readonly model: string, readonly changed: () => void) {}

  /** Whether it has not ended. */
  get running(): boolean {
    return this.status === "waiting" || this.status === "streaming";
  }

  /** Ask, and follow the reply to its end. `accepted` is called with the chat's and the question's id. */
  ask(question: Question, accepted: (chatId: string, messageId: string) => void): Promise<void> {
    return this.#run((options) => net.chats.stream(question, options), accepted);
  }

  /** Follow a reply that is being written already. */
  follow(message: Message): Promise<void> {
    const id = message.generation_id ?? "";
    this.id = message.id;
    this.generationId = id;
    return this.#run((options) => net.generations.follow(id, options), () => undefined);
  }

  /** Stop it; the text so far is kept. What is not accepted yet is stopped once it is. */
  async stop(): Promise<void> {
    if (this.stopping || !this.running) return;
    this.stopping = true;
    this.#changed();
    if (this.generationId !== undefined) await this.#cancel();
  }

  /** Look away: it goes on without this page. What is on its way is still brought there. */
  leave(): void {
    this.#leaving = true;
    if (this.generationId !== undefined || this.#reply === undefined || !this.running) this.#left.abort();
  }

  async #cancel(): Promise<void> {
    try {
      await this.#reply?.cancel();
    } catch (error) {
      this.stopping = false;
      this.trouble = sentence(error);
      this.#changed();
    }
  }

  async #run(open: (options: FollowOptions) => Reply, accepted: (chatId: string, messageId: string) => void): Promise<void> {
    const options = { signal: this.#left.signal, onRetry: (trouble: unknown) => this.#waits(trouble) };
    let reply = open(options);
    for (;;) {
      this.#reply = reply;
      try {
        for await (const event of reply) this.#take(event, accepted);
        break;
      } catch (error) {
        if (this.#left.signal.aborted && !this.#unasked) return;
        if (error instanceof ConnectionError && this.generationId !== undefined) {
          await networkIsBack(this.#left.signal);
          if (this.#left.signal.aborted) return;
          reply = net.generations.follow(this.generationId, { ...options, ...(reply.lastEventId === undefined ? {} : { after: reply.lastEventId }) });
          continue;
        }
        this.status = "failed";
        this.code = error instanceof ProblemError ? error.code : undefined;
        this.error = this.#unasked ? "Stopped before the question was taken." : sentence(error);
        break;
      }
    }
    this.queue = undefined;
    this.trouble = "";
    this.#changed();
  }

  /** Whether it was stopped before anybody had accepted it. */
  get #unasked(): boolean {
    return this.stopping && this.generationId === undefined;
  }

  #waits(trouble: unknown): void {
    if (this.#unasked) return this.#left.abort();
    if (trouble === undefined) return; // the edge ended the stream in good order: the next one goes on with it
    this.trouble = trouble instanceof ProblemError ? sentence(trouble) : this.generationId === undefined ? "OllamaNet cannot be reached; it is tried again." : LOST;
    this.#changed();
  }

  #take(event: StreamEvent, accepted: (chatId: string, messageId: string) => void): void {
    this.trouble = "";
    switch (event.event) {
      case "accepted":
        this.id = event.data.reply_id;
        this.generationId = event.data.generation_id;
        accepted(event.data.chat_id, event.data.message_id);
        if (this.stopping) void this.#cancel();
        if (this.#leaving) this.#left.abort();
        break;
      case "queued":
        this.queue = event.data;
        break;
      case "started":
        this.queue = undefined;
        this.backend = event.data.backend;
        break;
      case "restarted":
        this.text = this.thinking = "";
        this.tools = [];
        this.status = "waiting";
        this.restarts++;
        break;
      case "token":
        this.text += event.data.text;
        this.status = "streaming";
        break;
      case "thinking":
        this.thinking += event.data.text;
        this.status = "streaming";
        break;
      case "tool_call":
        this.tools = [...this.tools, event.data];
        this.status = "streaming";
        break;
      case "completed":
        this.status = "complete";
        this.usage = event.data.usage;
        this.rate = event.data.timings.tokens_per_second;
        break;
      case "cancelled":
        this.status = "cancelled";
        break;
      case "failed":
        this.status = "failed";
        this.error = event.data.message;
    }
    this.#changed();
  }

  #changed(): void {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.changed();
    });
  }
}

/** Until the browser says so, a while has passed, or nobody waits any more. */
async function networkIsBack(signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = new AbortController();
    const end = () => {
      clearTimeout(timer);
      done.abort();
      resolve();
    };
    const timer = setTimeout(end, PATIENCE);
    addEventListener("online", end, { signal: done.signal });
    signal.addEventListener("abort", end, { signal: done.signal });
  });
}
