/** What one window of this browser tells the others: somebody logged out, or something happened to the chats, perhaps to this one. */
export interface News {
  readonly left?: true;
  readonly chat?: string;
}

const channel = new BroadcastChannel("ollamanet");

/** Tell the other windows. */
export function announce(news: News): void {
  channel.postMessage(news);
}

/** Hear of what the other windows tell; gives what ends it. */
export function hear(told: (news: News) => void): () => void {
  const heard = (event: MessageEvent<News>) => told(event.data);
  channel.addEventListener("message", heard);
  return () => channel.removeEventListener("message", heard);
}
