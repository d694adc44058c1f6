import type { Message, WholeChat } from "ollamanet";
import { net, sentence } from "./client";
import { draft } from "./drafts";
import { LiveReply } from "./live";

/** What the list of chats wants to know. */
export interface Watcher {
  /** The first question of a new chat was accepted. */
  readonly begun: (chatId: string) => void;
  /** Something in it that the list shows. */
  readonly touched: () => void;
}

let opened = 0;

/** One chat as this window has it: its messages, and the reply that is being written. */
export class OpenChat {
  messages: readonly Message[] = [];
  /** The last reply, from here on while it is written; it stays here until the next question. */
  live: LiveReply | undefined;
  /** Draws it. */
  changed: () => void = () => undefined;
  /** Of this page's chats, in the order in which they were opened. */
  readonly number = ++opened;
  title: string | undefined;
  model: string | undefined;
  trouble = "";
  loading = false;
  /** The list will tell that this chat was touched: by us. */
  #ours = false;
  #gone = false;
  #looking = false;

  constructor(public id: string | undefined, readonly watcher: Watcher) {}

  get running(): boolean {
    return this.live?.running ?? false;
  }

  /** Read it, and follow what is being written in it. */
  async look(): Promise<void> {
    if (this.id === undefined || this.running || this.#looking || this.#gone) return;
    this.#looking = true;
    this.loading = this.messages.length === 0;
    this.#changed();
    try {
      const chat = await net.chats.get(this.id);
      if (!this.running && !this.#gone) this.#take(chat);
    } catch (error) {
      this.trouble = sentence(error);
    } finally {
      this.#looking = this.loading = false;
      this.#changed();
    }
  }

  /** The list says that something happened in it. */
  touched(): void {
    if (this.running) return;
    if (this.#ours) this.#ours = false;
    else void this.look();
  }

  /** Ask in it. Throws, with `trouble` said, where the question was refused: nothing of it is left then. */
  async ask(model: string, content: string): Promise<void> {
    const asked: Message = {
      id: `asked-${Date.now()}`, chat_id: this.id ?? "", parent_id: null, role: "user", content, status: "complete",
      created_at: new Date().toISOString(),
    };
    const before = this.messages;
    this.messages = this.live === undefined ? [...before, asked] : [...before, asMessage(this.live, this.id ?? ""), asked];
    const settled = this.messages.slice(0, -1);
    const reply = this.#begin(model);
    this.trouble = "";
    this.#changed();
    await reply.ask({ model, content, ...(this.id === undefined ? {} : { chat_id: this.id }) }, (id, messageId) => {
      if (this.#gone) return this.watcher.touched();
      this.messages = [...settled, { ...asked, id: messageId, chat_id: id }];
      this.model = model;
      this.#ours = true;
      const isNew = this.id === undefined;
      this.id = id;
      if (isNew) this.watcher.begun(id);
      this.watcher.touched();
    });
    if (this.#gone && reply.generationId === undefined) return draft.keep(this.id, draft.of(this.id) || content);
    if (this.live !== reply || this.#gone) return;
    if (reply.generationId !== undefined) return this.#ended();
    this.messages = settled;
    this.live = undefined;
    this.trouble = reply.error;
    this.#changed();
    if (reply.code === "reply_in_progress") void this.look(); // another window asked
    throw new Error(reply.error);
  }

  async stop(): Promise<void> {
    await this.live?.stop();
  }

  /** Nobody looks at it here any more. */
  leave(): void {
    this.#gone = true;
    this.live?.leave();
  }

  #take(chat: WholeChat): void {
    this.title = chat.title;
    this.model = chat.model;
    this.trouble = "";
    const last = chat.messages.at(-1);
    const drawn = last !== undefined && this.live?.id === last.id && last.status !== "streaming";
    const open = last?.status === "streaming" && last.generation_id ? last : undefined;
    this.messages = this.#same(drawn || open !== undefined ? chat.messages.slice(0, -1) : chat.messages);
    if (drawn) return;
    this.live = undefined;
    if (open !== undefined) void this.#follow(open);
  }

  async #follow(message: Message): Promise<void> {
    const reply = this.#begin(message.model ?? "");
    await reply.follow(message);
    if (this.live === reply && !this.#gone) this.#ended();
  }

  #begin(model: string): LiveReply {
    this.live = new LiveReply(model, () => this.#changed());
    return this.live;
  }

  #ended(): void {
    this.#ours = true;
    this.watcher.touched();
  }

  /** These messages, each as the object that it is already here: what did not change is not drawn again. */
  #same(messages: readonly Message[]): readonly Message[] {
    const known = new Map(this.messages.map((one) => [one.id, one]));
    return messages.map((one) => {
      const old = known.get(one.id);
      return old?.status === one.status && old.content === one.content ? old : one;
    });
  }

  #changed(): void {
    if (!this.#gone) this.changed();
  }
}

function asMessage(reply: LiveReply, chatId: string): Message {
  return {
    id: reply.id, chat_id: chatId, parent_id: null, role: "assistant", content: reply.text, thinking: reply.thinking || null,
    model: reply.model, status: reply.status === "cancelled" || reply.status === "failed" ? reply.status : "complete",
    generation_id: reply.generationId ?? null, usage: reply.usage ?? null, created_at: new Date().toISOString(),
    error: reply.error === "" ? null : { code: reply.code ?? "failed", message: reply.error, retryable: true },
  };
}
