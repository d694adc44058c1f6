import type { Model } from "ollamanet";
import type { ComponentChildren } from "preact";
import { useCallback, useEffect, useReducer, useRef } from "preact/hooks";
import { Composer } from "./composer";
import { Shown, Spoken } from "./message";
import { OpenChat } from "./open";
import { useStretch } from "./stretch";
import { hear } from "./windows";

interface Props {
  readonly chatId: string | undefined;
  readonly models: readonly Model[] | undefined;
  /** When the list says that this chat was last touched. */
  readonly touchedAt: string | undefined;
  readonly onBegun: (chatId: string) => void;
  readonly onTouched: (chatId: string | undefined) => void;
  /** The title of the chat, once it is read: the list may not have it. */
  readonly onRead: (title: string) => void;
}

/** The chat that the address names. One that begins here goes on here when it gets its id. */
export function ChatView(props: Props) {
  const told = useRef(props);
  told.current = props;
  const opened = useRef<OpenChat | undefined>(undefined);
  if (opened.current === undefined || opened.current.id !== props.chatId) {
    opened.current?.leave();
    const chat: OpenChat = new OpenChat(props.chatId, {
      begun: (id) => told.current.onBegun(id),
      touched: () => told.current.onTouched(chat.id),
    });
    opened.current = chat;
  }
  useEffect(() => () => opened.current?.leave(), []);
  return <Opened key={opened.current.number} chat={opened.current} {...props} />;
}

/** Its messages, the reply that is being written, and the place to ask. */
function Opened({ chat, chatId, models, touchedAt, onRead }: Props & { readonly chat: OpenChat }) {
  const [, redraw] = useReducer((n: number, _: void) => n + 1, 0);
  chat.changed = redraw;
  const scroller = useRef<HTMLDivElement>(null);
  const { messages, live } = chat;
  const stretch = useStretch(messages.length, scroller);

  useEffect(() => void chat.look(), [chat]);
  const before = useRef(touchedAt);
  useEffect(() => {
    if (before.current !== undefined && before.current !== touchedAt) chat.touched();
    before.current = touchedAt;
  }, [chat, touchedAt]);
  useEffect(() => hear((news) => { if (news.chat !== undefined && news.chat === chat.id) void chat.look(); }), [chat]);
  useEffect(() => { if (chat.title !== undefined) onRead(chat.title); }, [chat.title, onRead]);
  useEffect(() => {
    const stop = (key: KeyboardEvent) => {
      if (key.key === "Escape" && !key.defaultPrevented && !key.isComposing) void chat.stop();
    };
    document.addEventListener("keydown", stop);
    return () => document.removeEventListener("keydown", stop);
  }, [chat]);

  const ask = useCallback((model: string, content: string) => {
    stretch.end();
    return chat.ask(model, content);
  }, [chat, stretch.end]);

  const empty = messages.length === 0 && live === undefined;
  return (
    <>
      <div class="messages" ref={scroller} tabIndex={0} role="region" aria-label="Messages" onScroll={stretch.onScroll}>
        <div class="column">
          {stretch.from > 0 && <Reached at={stretch.from} root={scroller} onReach={stretch.earlier}>Show earlier messages ({stretch.from})</Reached>}
          {messages.slice(stretch.from, stretch.to).map((message) => <Shown key={message.id} message={message} />)}
          {stretch.to < messages.length
            ? <Reached at={stretch.to} root={scroller} onReach={stretch.later}>Show later messages ({messages.length - stretch.to})</Reached>
            : live && <Shown key={live.id} live={live} />}
          {chat.loading && empty && <p class="empty" aria-busy="true">Opening …</p>}
          {!chat.loading && empty && chat.trouble === "" && <Empty models={models} />}
          {chat.trouble && <p class="error" role="alert">{chat.trouble}</p>}
        </div>
      </div>
      <div class="foot">
        {!stretch.atEnd && <button class="down" aria-label="To the end" title="To the end" onClick={stretch.end}>↓</button>}
        <Spoken live={live} />
        <Composer
          chatId={chatId} models={models} usual={chat.model} running={chat.running} stopping={live?.stopping ?? false}
          onAsk={ask} onStop={() => void chat.stop()}
        />
      </div>
    </>
  );
}

function Empty({ models }: { readonly models: readonly Model[] | undefined }) {
  if (models === undefined) return null;
  if (models.length === 0) return <p class="empty">No model is there yet: an administrator adds one. It shows up here by itself.</p>;
  return <p class="empty">Ask something. You may close this page: the answer is kept.</p>;
}

interface Reaching {
  readonly at: number;
  readonly root: { readonly current: HTMLElement | null };
  readonly onReach: () => void;
  readonly children: ComponentChildren;
}

/** A button that works by itself when somebody scrolls near it. */
function Reached({ at, root, onReach, children }: Reaching) {
  const button = useRef<HTMLButtonElement>(null);
  const reach = useRef(onReach);
  reach.current = onReach;
  useEffect(() => {
    const near = new IntersectionObserver(([one]) => one?.isIntersecting && reach.current(), { root: root.current, rootMargin: "600px 0px" });
    near.observe(button.current!);
    return () => near.disconnect();
  }, [at, root]);
  return <button ref={button} class="link more" onClick={onReach}>{children}</button>;
}
