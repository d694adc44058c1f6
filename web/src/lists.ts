import { ProblemError, type Chat, type Model } from "ollamanet";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { net, sentence } from "./client";
import { useLooking } from "./looking";
import { announce, hear } from "./windows";

/** Milliseconds between looks: another device may have asked, a model may have come or gone. */
const EVERY = 10_000;
const PAGE = 50;

export interface ChatList {
  readonly chats: readonly Chat[] | undefined;
  readonly look: () => void;
  /** Look, and tell the other windows that there is something new, perhaps in this chat. */
  readonly changed: (chatId?: string) => void;
  /** Fetch the next page; undefined when there is none. */
  readonly more: (() => Promise<void>) | undefined;
}

/** The person's chats, the last touched first. */
export function useChats(onTrouble: (sentence: string) => void): ChatList {
  const [chats, setChats] = useState<readonly Chat[]>();
  const [cursor, setCursor] = useState<string | null>(null);
  /** More than the first page was asked for: where to go on, the last answer says, not the first page. */
  const deeper = useRef(false);

  const look = useLooking(async () => {
    try {
      const page = await net.chats.list({ limit: PAGE });
      setChats((known) => [...page.items, ...older(known ?? [], page.items, page.next_cursor ?? null)]);
      const next = page.next_cursor ?? null;
      deeper.current &&= next !== null;
      if (!deeper.current) setCursor(next);
    } catch (error) {
      if (error instanceof ProblemError && error.status !== 401) onTrouble(sentence(error)); // lost connections are told elsewhere
    }
  }, EVERY);

  const more = useCallback(async () => {
    if (cursor === null) return;
    try {
      const page = await net.chats.list({ limit: PAGE, cursor });
      deeper.current = true;
      setChats((known) => [...(known ?? []), ...page.items.filter((one) => !known?.some((old) => old.id === one.id))]);
      setCursor(page.next_cursor ?? null);
    } catch (error) {
      onTrouble(sentence(error));
    }
  }, [cursor, onTrouble]);

  const changed = useCallback((chatId?: string) => {
    look();
    announce(chatId === undefined ? {} : { chat: chatId });
  }, [look]);
  useEffect(() => hear((news) => news.left || look()), [look]);

  return { chats, look, changed, more: cursor === null ? undefined : more };
}

/** What of the known chats comes after the first page: the pages that were fetched before. */
function older(known: readonly Chat[], page: readonly Chat[], next: string | null): readonly Chat[] {
  const last = page.at(-1);
  if (next === null || last === undefined) return [];
  const ids = new Set(page.map((one) => one.id));
  return known.filter((one) => !ids.has(one.id) && Date.parse(one.updated_at) <= Date.parse(last.updated_at));
}

/** The models that may be asked; undefined before the first answer. */
export function useModels(): readonly Model[] | undefined {
  const [models, setModels] = useState<readonly Model[]>();
  useLooking(async () => {
    try {
      const found: Model[] = [];
      for (let cursor: string | undefined, more = true; more; more = cursor !== undefined) {
        const page = await net.models.list({ limit: 100, ...(cursor === undefined ? {} : { cursor }) });
        found.push(...page.items);
        cursor = page.next_cursor ?? undefined;
      }
      setModels(found.filter((one) => one.capabilities.length === 0 || one.capabilities.includes("chat")));
    } catch {
      // what was known stays; the chats beside them tell what is wrong
    }
  }, EVERY);
  return models;
}
