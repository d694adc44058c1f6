import type { Message, Question, Reply, Usage } from "ollamanet";
import { net, sentence } from "./client";

/** A reply while it is written. The text grows in place; who draws it is told once for each frame of the screen. */
export class LiveReply {
  id = "";
  text = "";
  thinking = "";
  status: "waiting" | "streaming" | "complete" | "cancelled" | "failed" = "waiting";
  queue: { readonly position: number; readonly eta_ms: number | null } | undefined;
  backend: string | undefined;
  usage: Usage | undefined;
  rate: number | undefined;
  error = "";
  /** How often the reply began again: what was drawn of it before is void. */
  restarts = 0;
  readonly #left = new AbortController();
  #reply: Reply | undefined;
  #frame = 0;

  constructor(readonly changed: () => void) {}

  /** Whether it has not ended. */
  get running(): boolean {
    return this.status === "waiting" || this.status === "streaming";
  }

  /** Ask, and follow the reply to its end. `accepted` is called with the chat's and the question's id. */
  ask(question: Question, accepted: (chatId: string, messageId: string) => void): Promise<void> {
    return this.#run(net.chats.stream(question, { signal: this.#left.signal }), accepted);
  }

  /** Follow a reply that is being written already. */
  follow(message: Message): Promise<void> {
    this.id = message.id;
    return this.#run(net.generations.follow(message.generation_id ?? "", { signal: this.#left.signal }), () => undefined);
  }

  /** Stop it; the text so far is kept. */
  async stop(): Promise<void> {
    await this.#reply?.cancel().catch((error: unknown) => {
      this.error = sentence(error);
      this.#changed();
    });
  }

  /** Look away: it goes on without this page. */
  leave(): void {
    cancelAnimationFrame(this.#frame);
    this.#left.abort();
  }

  async #run(reply: Reply, accepted: (chatId: string, messageId: string) => void): Promise<void> {
    this.#reply = reply;
    try {
      for await (const event of reply) {
        switch (event.event) {
          case "accepted":
            this.id = event.data.reply_id;
            accepted(event.data.chat_id, event.data.message_id);
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
    } catch (error) {
      if (this.#left.signal.aborted) return;
      this.status = "failed";
      this.error = sentence(error);
    }
    this.queue = undefined;
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
