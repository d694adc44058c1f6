import type { User } from "ollamanet";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { useLost } from "./client";
import { ChatView } from "./chat";
import { useChats, useModels } from "./lists";
import { Sidebar } from "./sidebar";

interface Props {
  readonly user: User;
  readonly welcome: boolean;
  readonly onLeave: () => void;
}

const inAddress = () => location.hash.match(/^#\/([0-9a-f-]{36})$/)?.[1];

/** The list of chats beside the one that is open. The address says which: a reload, a bookmark and "back" all work. */
export function Desk({ user, welcome, onLeave }: Props) {
  const [trouble, setTrouble] = useState("");
  const [welcomed, setWelcomed] = useState(!welcome);
  const { chats, changed, more } = useChats(setTrouble);
  const models = useModels();
  const lost = useLost();
  const [open, setOpen] = useState(inAddress);
  const [title, setTitle] = useState<string>();
  const [listShown, setListShown] = useState(false);
  const menu = useRef<HTMLButtonElement>(null);

  const show = useCallback((chatId: string | undefined) => {
    setOpen(chatId);
    setTitle(undefined);
    setTrouble("");
  }, []);
  useEffect(() => {
    const follow = () => show(inAddress());
    addEventListener("hashchange", follow);
    addEventListener("popstate", follow);
    return () => {
      removeEventListener("hashchange", follow);
      removeEventListener("popstate", follow);
    };
  }, [show]);
  useEffect(() => {
    const wide = matchMedia("(min-width: 721px)");
    const widened = () => wide.matches && setListShown(false);
    wide.addEventListener("change", widened);
    return () => wide.removeEventListener("change", widened);
  }, []);

  const hide = useCallback(() => setListShown(false), []);
  const wasShown = useRef(false);
  useEffect(() => { // only now can what was behind it be focused
    if (wasShown.current && !listShown) menu.current?.focus();
    wasShown.current = listShown;
  }, [listShown]);
  const go = useCallback((chatId: string | undefined) => {
    if (chatId !== inAddress()) history.pushState(null, "", chatId === undefined ? "#/" : `#/${chatId}`);
    show(chatId);
    setListShown(false);
    document.getElementById("question")?.focus();
  }, [show]);
  const begun = useCallback((chatId: string) => {
    history.replaceState(null, "", `#/${chatId}`);
    setOpen(chatId);
  }, []);

  const current = chats?.find((one) => one.id === open);
  const shown = open === undefined ? "New chat" : (current?.title ?? title ?? "");
  useEffect(() => {
    document.title = open === undefined || shown === "" ? "OllamaNet" : `${shown} · OllamaNet`;
  }, [open, shown]);

  return (
    <div class="desk">
      <button class="skip" onClick={() => document.getElementById("question")?.focus()}>Skip to the question</button>
      <Sidebar
        user={user} chats={chats} open={open} shown={listShown} onOpen={go} onChanged={changed} onLeave={onLeave}
        onMore={more} onTrouble={setTrouble} onHide={hide}
      />
      <main class="stage" inert={listShown}>
        <header>
          <button ref={menu} class="icon menu" aria-label="Chats" aria-expanded={listShown} onClick={() => setListShown(true)}>☰</button>
          <h1 dir="auto">{shown}</h1>
        </header>
        {!welcomed && (
          <p class="notice welcome">This is the first account: you are the administrator. <button class="link" onClick={() => setWelcomed(true)}>All right</button></p>
        )}
        {lost && <p class="notice" role="status">{navigator.onLine ? "OllamaNet cannot be reached" : "You are offline"}. It is tried again; answers go on meanwhile.</p>}
        {trouble && <p class="error" role="alert">{trouble} <button class="link" onClick={() => setTrouble("")}>Dismiss</button></p>}
        <ChatView chatId={open} models={models} touchedAt={current?.updated_at} onBegun={begun} onTouched={changed} onRead={setTitle} />
      </main>
    </div>
  );
}
