import type { Chat, User } from "ollamanet";
import { useState } from "preact/hooks";
import { net, sentence } from "./client";

interface Props {
  readonly user: User;
  readonly chats: readonly Chat[] | undefined;
  readonly open: string | undefined;
  readonly shown: boolean;
  readonly onOpen: (chatId: string | undefined) => void;
  readonly onChanged: () => void;
  readonly onMore: (() => void) | undefined;
  readonly onLeave: () => void;
  readonly onHide: () => void;
  readonly onTrouble: (sentence: string) => void;
}

/** The person's chats, the last touched first. */
export function Sidebar(props: Props) {
  return (
    <>
      {props.shown && <div class="shade" onClick={props.onHide} />}
      <nav class={props.shown ? "sidebar shown" : "sidebar"} aria-label="Chats" onKeyDown={(key) => key.key === "Escape" && props.onHide()}>
        <button class="primary" onClick={() => props.onOpen(undefined)}>New chat</button>
        <ul>
          {props.chats?.map((chat) => <Row key={chat.id} chat={chat} {...props} />)}
          {props.onMore && <li><button class="link" onClick={props.onMore}>Show older chats</button></li>}
        </ul>
        {props.chats?.length === 0 && <p class="empty">No chats yet: ask something.</p>}
        <footer>
          <span title={props.user.role}>{props.user.display_name || props.user.email}</span>
          <button class="link" onClick={props.onLeave}>Log out</button>
        </footer>
      </nav>
    </>
  );
}

function Row({ chat, open, onOpen, onChanged, onTrouble }: Props & { readonly chat: Chat }) {
  const [doing, setDoing] = useState<"renaming" | "deleting">();

  const change = async (work: () => Promise<unknown>) => {
    setDoing(undefined);
    try {
      await work();
      onChanged();
    } catch (error) {
      onTrouble(sentence(error));
    }
  };
  const rename = (event: SubmitEvent) => {
    event.preventDefault();
    const title = String(new FormData(event.currentTarget as HTMLFormElement).get("title")).trim();
    if (title === "" || title === chat.title) return setDoing(undefined);
    void change(() => net.chats.rename(chat.id, title));
  };
  const remove = () =>
    void change(async () => {
      await net.chats.delete(chat.id);
      if (open === chat.id) onOpen(undefined);
    });

  if (doing === "renaming") {
    return (
      <li>
        <form onSubmit={rename} onKeyDown={(key) => key.key === "Escape" && setDoing(undefined)}>
          <input name="title" aria-label="Title" defaultValue={chat.title} maxLength={200} autofocus onBlur={() => setDoing(undefined)} ref={(input) => input?.focus()} />
        </form>
      </li>
    );
  }
  if (doing === "deleting") {
    return (
      <li class="asking" role="alertdialog" aria-label={`Delete “${chat.title}”?`}>
        <span>Delete for good?</span>
        <button class="link danger" ref={(button) => button?.focus()} onClick={remove}>Delete</button>
        <button class="link" onClick={() => setDoing(undefined)}>Keep</button>
      </li>
    );
  }
  return (
    <li class={open === chat.id ? "row open" : "row"}>
      <a href={`#/${chat.id}`} aria-current={open === chat.id ? "page" : undefined}
        onClick={(click) => { click.preventDefault(); onOpen(chat.id); }}>{chat.title}</a>
      <button class="icon" aria-label={`Rename “${chat.title}”`} title="Rename" onClick={() => setDoing("renaming")}>✎</button>
      <button class="icon" aria-label={`Delete “${chat.title}”`} title="Delete" onClick={() => setDoing("deleting")}>✕</button>
    </li>
  );
}
