import type { Message, Model } from "ollamanet";
import { useCallback, useEffect, useLayoutEffect, useReducer, useRef, useState } from "preact/hooks";
import { net, sentence } from "./client";
import { Composer } from "./composer";
import { LiveReply } from "./live";
import { Live, Shown } from "./message";

interface Props {
  readonly chatId: string | undefined;
  readonly models: readonly Model[] | undefined;
  /** The model that this chat has been asked. */
  readonly usual: string | undefined;
  readonly onBegun: (chatId: string) => void;
  readonly onTouched: () => void;
}

/** So many messages are in the page at once, and so many more with each step back. */
const STEP = 60;
/** This close to the end (pixels) the view follows it. */
const NEAR = 80;

/** One chat: its messages, the reply that is being written, and the place to ask. */
export function ChatView({ chatId, models, usual, onBegun, onTouched }: Props) {
  const [messages, setMessages] = useState<readonly Message[]>([]);
  const [shown, setShown] = useState(STEP);
  const [trouble, setTrouble] = useState("");
  const [loading, setLoading] = useState(false);
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const live = useRef<LiveReply | undefined>(undefined);
  const here = useRef<string | undefined>(undefined);
  const scroller = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);

  const leave = useCallback(() => {
    live.current?.leave();
    live.current = undefined;
  }, []);

  const load = useCallback(async (id: string) => {
    setLoading(true);
    setTrouble("");
    try {
      const chat = await net.chats.get(id);
      if (here.current !== id) return;
      const last = chat.messages.at(-1);
      const open = last?.status === "streaming" ? last : undefined;
      setMessages(open === undefined ? chat.messages : chat.messages.slice(0, -1));
      if (open !== undefined) {
        leave();
        live.current = new LiveReply(redraw as () => void);
        void live.current.follow(open);
      }
    } catch (error) {
      if (here.current === id) setTrouble(sentence(error));
    } finally {
      if (here.current === id) setLoading(false);
    }
  }, [leave]);

  useEffect(() => {
    if (here.current === chatId) return; // it began here
    here.current = chatId;
    leave();
    setMessages([]);
    setShown(STEP);
    setTrouble("");
    setLoading(false);
    atEnd.current = true;
    if (chatId !== undefined) void load(chatId);
  }, [chatId, load, leave]);
  useEffect(() => leave, [leave]);

  useEffect(() => {
    const look = () => {
      if (document.visibilityState === "visible" && here.current !== undefined && !live.current?.running) void load(here.current).then(() => (live.current?.running ? undefined : (live.current = undefined)));
    };
    document.addEventListener("visibilitychange", look); // another device may have asked meanwhile
    return () => document.removeEventListener("visibilitychange", look);
  }, [load]);

  useLayoutEffect(() => {
    const view = scroller.current!;
    const grown = new ResizeObserver(() => {
      if (atEnd.current) view.scrollTop = view.scrollHeight;
    });
    grown.observe(view);
    grown.observe(view.firstElementChild!);
    return () => grown.disconnect();
  }, []);

  const ask = async (model: string, content: string) => {
    const before = live.current;
    const settled = before === undefined || before.id === "" ? messages : [...messages, asMessage(before, here.current ?? "")];
    const reply = new LiveReply(redraw as () => void);
    const asked: Message = {
      id: `asked-${Date.now()}`, chat_id: here.current ?? "", parent_id: null, role: "user", content, status: "complete",
      created_at: new Date().toISOString(),
    };
    live.current = reply;
    atEnd.current = true;
    setTrouble("");
    setMessages([...settled, asked]);
    const chat = here.current === undefined ? {} : { chat_id: here.current };
    await reply.ask({ model, content, ...chat }, (id, messageId) => {
      if (live.current !== reply) return;
      setMessages((all) => all.map((one) => (one === asked ? { ...asked, id: messageId, chat_id: id } : one)));
      if (here.current === id) return onTouched();
      here.current = id;
      onBegun(id);
    });
    if (live.current !== reply) return;
    if (reply.id === "") { // refused: nothing of it is left
      setMessages((all) => all.filter((one) => one !== asked));
      setTrouble(reply.error);
      live.current = undefined;
      throw new Error(reply.error);
    }
  };

  const model = models?.find((one) => one.name === usual);
  const visible = messages.slice(-shown);
  return (
    <>
      <div
        class="messages" ref={scroller} tabIndex={-1}
        onScroll={(event) => {
          const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
          atEnd.current = scrollHeight - scrollTop - clientHeight < NEAR;
        }}
      >
        <div class="column">
          {messages.length > shown && (
            <button class="link earlier" onClick={() => { atEnd.current = false; setShown(shown + STEP); }}>
              Show earlier messages ({messages.length - shown})
            </button>
          )}
          {visible.map((message) => <Shown key={message.id} message={message} />)}
          {live.current && <Live reply={live.current} />}
          {loading && messages.length === 0 && <p class="empty" aria-busy="true">Opening …</p>}
          {!loading && messages.length === 0 && !live.current && !trouble && (
            <p class="empty">{models?.length === 0 ? "No model is there yet: an administrator adds one." : "Ask something. You may close this page: the answer is kept."}</p>
          )}
          {trouble && <p class="error" role="alert">{trouble}</p>}
        </div>
      </div>
      <Composer models={models} usual={model?.name ?? usual} running={live.current?.running ?? false} onAsk={ask} onStop={() => void live.current?.stop()} />
    </>
  );
}

function asMessage(reply: LiveReply, chatId: string): Message {
  return {
    id: reply.id, chat_id: chatId, parent_id: null, role: "assistant", content: reply.text, thinking: reply.thinking || null,
    status: reply.status === "cancelled" || reply.status === "failed" ? reply.status : "complete",
    usage: reply.usage ?? null, created_at: new Date().toISOString(),
    error: reply.error === "" ? null : { code: "failed", message: reply.error, retryable: true },
  };
}
