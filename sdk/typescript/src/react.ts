import { useCallback, useEffect, useRef, useState } from "react";
import type { OllamaNet } from "./client.js";
import { GenerationError } from "./errors.js";
import { randomId } from "./ids.js";
import type { Reply } from "./reply.js";
import type { Message, Question, Usage } from "./types.js";

/** One message as a page shows it. */
export interface ShownMessage {
  readonly id: string;
  readonly role: Message["role"];
  readonly content: string;
  readonly thinking: string;
  readonly status: "waiting" | "streaming" | "complete" | "cancelled" | "failed";
  readonly usage?: Usage;
}

export interface UseOllamaNetChat {
  readonly messages: readonly ShownMessage[];
  /** The chat, once its first question was accepted. */
  readonly chatId: string | undefined;
  /** `waiting` until the model says something, `streaming` while it does. */
  readonly status: "ready" | "waiting" | "streaming" | "error";
  /** The place in the queue, while there is one. */
  readonly queue: { readonly position: number; readonly etaMs: number | null } | undefined;
  readonly error: Error | undefined;
  /** Ask; resolves when the reply has ended. */
  readonly send: (content: string, more?: Partial<Question>) => Promise<void>;
  /** Stop the reply that is being written; its text so far is kept. */
  readonly stop: () => Promise<void>;
}

export interface UseOllamaNetChatOptions {
  readonly model: string;
  /** Open this chat; what is still being written in it goes on being shown. */
  readonly chatId?: string;
}

/**
 * A chat for React (or Preact with its compatibility layer). Leaving the page detaches: the reply goes on, and whoever opens the chat
 * again sees it.
 */
export function useOllamaNetChat(client: OllamaNet, options: UseOllamaNetChatOptions): UseOllamaNetChat {
  const [messages, setMessages] = useState<readonly ShownMessage[]>([]);
  const [chatId, setChatId] = useState(options.chatId);
  const [status, setStatus] = useState<UseOllamaNetChat["status"]>("ready");
  const [queue, setQueue] = useState<UseOllamaNetChat["queue"]>();
  const [error, setError] = useState<Error>();
  const running = useRef<{ readonly reply: Reply; readonly left: AbortController } | undefined>(undefined);
  const opening = useRef<AbortController | undefined>(undefined);
  const current = useRef<{ readonly client: OllamaNet; readonly chatId: string | undefined } | undefined>(undefined);

  const show = useCallback(async (reply: Reply, left: AbortController, replyId: string) => {
    running.current = { reply, left };
    const change = (id: string, next: (old: ShownMessage) => ShownMessage) =>
      setMessages((all) => all.map((one) => (one.id === id ? next(one) : one)));
    let id = replyId;
    try {
      for await (const event of reply) {
        switch (event.event) {
          case "accepted": {
            const { chat_id, message_id, reply_id } = event.data;
            current.current = { client, chatId: chat_id };
            setChatId(chat_id);
            const own = { [id]: reply_id, [`${id}?`]: message_id }; // made now: React calls what it is given later
            setMessages((all) => all.map((one) => ({ ...one, id: own[one.id] ?? one.id })));
            id = reply_id;
            break;
          }
          case "queued":
            setQueue({ position: event.data.position, etaMs: event.data.eta_ms });
            break;
          case "started":
            setQueue(undefined);
            break;
          case "restarted":
            change(id, (old) => ({ ...old, content: "", thinking: "", status: "waiting" }));
            break;
          case "token":
          case "thinking": {
            const field = event.event === "token" ? "content" : "thinking";
            const { text } = event.data;
            setStatus("streaming");
            change(id, (old) => ({ ...old, [field]: old[field] + text, status: "streaming" }));
            break;
          }
          case "completed": {
            const { usage } = event.data;
            change(id, (old) => ({ ...old, status: "complete", usage }));
            break;
          }
          case "cancelled":
            change(id, (old) => ({ ...old, status: "cancelled" }));
            break;
          case "failed":
            throw new GenerationError(event.data.code, event.data.message, event.data.retryable, reply.text);
        }
      }
      setStatus("ready");
    } catch (trouble) {
      if (left.signal.aborted) return;
      change(id, (old) => ({ ...old, status: "failed" }));
      setError(trouble as Error);
      setStatus("error");
    } finally {
      if (running.current?.reply === reply) running.current = undefined;
      if (!left.signal.aborted) setQueue(undefined);
    }
  }, [client]);

  const leave = useCallback(() => {
    opening.current?.abort();
    running.current?.left.abort();
    current.current = undefined;
  }, []);

  useEffect(() => {
    const { chatId } = options;
    if (chatId !== undefined && current.current?.client === client && current.current.chatId === chatId) return; // begun here
    leave();
    current.current = { client, chatId };
    setChatId(chatId);
    setMessages([]);
    setQueue(undefined);
    setError(undefined);
    setStatus("ready");
    if (chatId === undefined) return;
    const left = new AbortController();
    opening.current = left;
    void open(client, chatId, left, setMessages, show).catch((trouble: Error) => {
      if (left.signal.aborted) return;
      setError(trouble);
      setStatus("error");
    });
  }, [client, options.chatId, leave, show]);

  useEffect(() => leave, [leave]);

  const send = useCallback(
    async (content: string, more: Partial<Question> = {}) => {
      const left = new AbortController();
      const id = randomId();
      const asked = { id: `${id}?`, role: "user", content, thinking: "", status: "complete" } as const;
      const written = { id, role: "assistant", content: "", thinking: "", status: "waiting" } as const;
      setMessages((all) => [...all, asked, written]);
      setError(undefined);
      setStatus("waiting");
      const known = current.current?.chatId;
      const chat = known === undefined ? {} : { chat_id: known };
      const question = { model: options.model, content, ...chat, ...more };
      await show(client.chats.stream(question, { signal: left.signal }), left, id);
    },
    [client, options.model, show],
  );

  const stop = useCallback(async () => running.current?.reply.cancel(), []);

  return { messages, chatId, status, queue, error, send, stop };
}

async function open(
  client: OllamaNet,
  chatId: string,
  left: AbortController,
  setMessages: (messages: readonly ShownMessage[]) => void,
  show: (reply: Reply, left: AbortController, replyId: string) => Promise<void>,
): Promise<void> {
  const chat = await client.chats.get(chatId);
  if (left.signal.aborted) return;
  const messages = chat.messages ?? [];
  setMessages(messages.map(shown));
  const last = messages.at(-1);
  if (last?.status === "streaming" && last.generation_id) {
    await show(client.generations.follow(last.generation_id, { signal: left.signal }), left, last.id);
  }
}

/** What is still being written is followed from its start. */
function shown(message: Message): ShownMessage {
  const streaming = message.status === "streaming";
  return {
    id: message.id,
    role: message.role,
    content: streaming ? "" : message.content,
    thinking: streaming ? "" : (message.thinking ?? ""),
    status: streaming ? "waiting" : message.status,
    ...(message.usage ? { usage: message.usage } : {}),
  };
}
