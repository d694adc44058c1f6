/** What was typed and not asked yet, by chat: it outlives a look at another chat, and a login that ran out. */
const drafts = new Map<string | undefined, string>();

export const draft = {
  of: (chatId: string | undefined): string => drafts.get(chatId) ?? "",
  keep(chatId: string | undefined, text: string): void {
    if (text === "") drafts.delete(chatId);
    else drafts.set(chatId, text);
  },
  /** Somebody else is here now. */
  forget: (): void => drafts.clear(),
};
