import type { Chat, User } from "ollamanet";
import { useEffect, useRef } from "preact/hooks";
import { Row } from "./row";

interface Props {
  readonly user: User;
  readonly chats: readonly Chat[] | undefined;
  readonly open: string | undefined;
  /** Over the chat, where the screen is narrow. */
  readonly shown: boolean;
  readonly onOpen: (chatId: string | undefined) => void;
  readonly onChanged: (chatId?: string) => void;
  readonly onMore: (() => Promise<void>) | undefined;
  readonly onLeave: () => void;
  readonly onHide: () => void;
  readonly onTrouble: (sentence: string) => void;
}

/** The person's chats, the last touched first. */
export function Sidebar({ user, chats, open, shown, onOpen, onChanged, onMore, onLeave, onHide, onTrouble }: Props) {
  const begin = useRef<HTMLButtonElement>(null);
  useEffect(() => { if (shown) begin.current?.focus(); }, [shown]);

  const deleted = (chatId: string) => {
    if (open === chatId) onOpen(undefined);
    else begin.current?.focus();
  };
  return (
    <>
      {shown && <div class="shade" onClick={onHide} />}
      <nav class={shown ? "sidebar shown" : "sidebar"} aria-label="Chats" onKeyDown={(key) => { if (shown && key.key === "Escape") { key.stopPropagation(); onHide(); } }}>
        <div class="head">
          <button ref={begin} class="primary" onClick={() => onOpen(undefined)}>New chat</button>
          <button class="icon close" aria-label="Close the list" onClick={onHide}>✕</button>
        </div>
        <ul>
          {chats?.map((chat) => <Row key={chat.id} chat={chat} open={open === chat.id} onOpen={onOpen} onChanged={onChanged} onDeleted={deleted} onTrouble={onTrouble} />)}
          {onMore && <li><button class="link" onClick={() => void onMore()}>Show older chats</button></li>}
        </ul>
        {chats?.length === 0 && <p class="empty">No chats yet: ask something.</p>}
        <footer>
          <span title={`${user.email}, ${user.role}`}>{user.display_name || user.email}</span>
          <button class="link" onClick={onLeave}>Log out</button>
        </footer>
      </nav>
    </>
  );
}
