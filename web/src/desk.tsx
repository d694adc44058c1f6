import type { Chat, Model, User } from "ollamanet";
import { useCallback, useEffect, useState } from "preact/hooks";
import { net, sentence } from "./client";
import { ChatView } from "./chat";
import { Sidebar } from "./sidebar";

interface Props {
  readonly user: User;
  readonly welcome: boolean;
  readonly onLeave: () => void;
}

const inAddress = () => location.hash.match(/^#\/([0-9a-f-]{36})$/)?.[1];

/** The list of chats beside the one that is open. The address says which: a reload, a bookmark and "back" all work. */
export function Desk({ user, welcome, onLeave }: Props) {
  const [chats, setChats] = useState<readonly Chat[]>();
  const [cursor, setCursor] = useState<string | null>(null);
  const [models, setModels] = useState<readonly Model[]>();
  const [open, setOpen] = useState(inAddress);
  const [listShown, setListShown] = useState(false);
  const [trouble, setTrouble] = useState("");

  const refresh = useCallback(async () => {
    try {
      const page = await net.chats.list({ limit: 50 });
      setChats(page.items);
      setCursor(page.next_cursor ?? null);
      setTrouble("");
    } catch (error) {
      setTrouble(sentence(error));
    }
  }, []);
  const more = useCallback(async () => {
    if (cursor === null) return;
    try {
      const page = await net.chats.list({ limit: 50, cursor });
      setChats((known) => [...(known ?? []), ...page.items.filter((one) => !known?.some((old) => old.id === one.id))]);
      setCursor(page.next_cursor ?? null);
    } catch (error) {
      setTrouble(sentence(error));
    }
  }, [cursor]);

  useEffect(() => {
    void refresh();
    const follow = () => setOpen(inAddress());
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, [refresh]);

  useEffect(() => {
    let left = false;
    const look = async () => {
      try {
        const found = (await net.models.list({ limit: 100 })).items;
        if (!left) setModels(found);
      } catch (error) {
        if (!left) setTrouble(sentence(error));
      }
    };
    void look();
    const again = setInterval(() => void look(), 15_000);
    return () => { left = true; clearInterval(again); };
  }, []);

  const go = useCallback((chatId: string | undefined) => {
    history.pushState(null, "", chatId === undefined ? "#/" : `#/${chatId}`);
    setOpen(chatId);
    setListShown(false);
  }, []);
  const begun = useCallback((chatId: string) => {
    history.replaceState(null, "", `#/${chatId}`);
    setOpen(chatId);
    void refresh();
  }, [refresh]);

  const current = chats?.find((one) => one.id === open);
  return (
    <div class="desk">
      <Sidebar
        user={user} chats={chats} open={open} shown={listShown} onOpen={go} onChanged={() => void refresh()} onLeave={onLeave}
        onMore={cursor === null ? undefined : () => void more()} onTrouble={setTrouble} onHide={() => setListShown(false)}
      />
      <main class="stage">
        <header>
          <button class="icon menu" aria-label="Chats" aria-expanded={listShown} onClick={() => setListShown(!listShown)}>☰</button>
          <h1>{current?.title ?? "New chat"}</h1>
        </header>
        {welcome && <p class="notice">This is the first account: you are the administrator.</p>}
        {trouble && <p class="error" role="alert">{trouble} <button class="link" onClick={() => setTrouble("")}>Dismiss</button></p>}
        <ChatView chatId={open} models={models} usual={current?.model} onBegun={begun} onTouched={() => void refresh()} />
      </main>
    </div>
  );
}
