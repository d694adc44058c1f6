import type { Chat } from "ollamanet";
import { useEffect, useRef, useState } from "preact/hooks";
import { net, sentence } from "./client";

interface Props {
  readonly chat: Chat;
  readonly open: boolean;
  readonly onOpen: (chatId: string) => void;
  readonly onChanged: (chatId?: string) => void;
  readonly onDeleted: (chatId: string) => void;
  readonly onTrouble: (sentence: string) => void;
}

/** One chat of the list, with its two buttons. */
export function Row({ chat, open, onOpen, onChanged, onDeleted, onTrouble }: Props) {
  const [doing, setDoing] = useState<"renaming" | "deleting">();
  const link = useRef<HTMLAnchorElement>(null);
  const before = useRef(doing);
  useEffect(() => {
    if (before.current !== undefined && doing === undefined && document.activeElement === document.body) link.current?.focus();
    before.current = doing;
  }, [doing]);

  const change = async (work: () => Promise<unknown>) => {
    setDoing(undefined);
    try {
      await work();
      onChanged(chat.id);
    } catch (error) {
      onTrouble(sentence(error));
    }
  };
  const rename = (title: string) => {
    if (title === "" || title === chat.title) return setDoing(undefined);
    void change(() => net.chats.rename(chat.id, title));
  };
  const remove = () =>
    void change(async () => {
      await net.chats.delete(chat.id);
      onDeleted(chat.id);
    });

  if (doing === "renaming") return <li><Title of={chat.title} onDone={rename} /></li>;
  if (doing === "deleting") {
    return (
      <li>
        <div class="asking" role="alertdialog" aria-label={`Delete “${chat.title}”?`}
          onKeyDown={(key) => { if (key.key === "Escape") { key.stopPropagation(); setDoing(undefined); } }}>
          <span>Delete for good?</span>
          <button class="link danger" onClick={remove}>Delete</button>
          <button class="link" ref={(button) => button?.focus()} onClick={() => setDoing(undefined)}>Keep</button>
        </div>
      </li>
    );
  }
  return (
    <li class={open ? "row open" : "row"}>
      <a ref={link} href={`#/${chat.id}`} dir="auto" aria-current={open ? "page" : undefined}
        onClick={(click) => { if (click.ctrlKey || click.metaKey || click.shiftKey) return; click.preventDefault(); onOpen(chat.id); }}>{chat.title}</a>
      <button class="icon" aria-label={`Rename “${chat.title}”`} title="Rename" onClick={() => setDoing("renaming")}>✎</button>
      <button class="icon" aria-label={`Delete “${chat.title}”`} title="Delete" onClick={() => setDoing("deleting")}>✕</button>
    </li>
  );
}

/** Enter keeps what was typed, and so does looking away; Escape does not. */
function Title({ of, onDone }: { readonly of: string; readonly onDone: (title: string) => void }) {
  const input = useRef<HTMLInputElement>(null);
  const ended = useRef(false);
  useEffect(() => input.current!.select(), []);
  const end = (title: string) => {
    if (ended.current) return; // taking the field away looks like looking away
    ended.current = true;
    onDone(title.trim());
  };
  return (
    <form onSubmit={(event) => { event.preventDefault(); end(input.current!.value); }}>
      <input
        ref={input} name="title" aria-label="Title" defaultValue={of} maxLength={200} dir="auto" onBlur={(event) => end(event.currentTarget.value)}
        onKeyDown={(key) => { if (key.key === "Escape") { key.stopPropagation(); end(of); } }}
      />
    </form>
  );
}
