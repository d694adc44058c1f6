import { ConnectionError, OllamaNet, ProblemError, type Tokens } from "ollamanet";
import { useEffect, useState } from "preact/hooks";

/** Who is told of new tokens, and of the end of the session (`null`). */
export const session: { told: (tokens: Tokens | null) => void } = { told: () => undefined };

let lost = false;
const watchers = new Set<(lost: boolean) => void>();

/** `fetch`, and what it says about the way to the platform. */
async function watched(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  try {
    const response = await fetch(input, init);
    tell(false);
    return response;
  } catch (error) {
    if (!init?.signal?.aborted) tell(true);
    throw error;
  }
}

function tell(now: boolean): void {
  if (now === lost) return;
  lost = now;
  for (const watcher of watchers) watcher(now);
}

/** Whether the last call did not reach the platform. */
export function useLost(): boolean {
  const [now, setNow] = useState(lost);
  useEffect(() => {
    watchers.add(setNow);
    return () => void watchers.delete(setNow);
  }, []);
  return now;
}

/** The platform that served this page. The access token lives in memory only; the refresh token in a cookie that no script reads. */
export const net = new OllamaNet({ cookie: true, fetch: watched, onTokens: (tokens) => session.told(tokens) });

/** An error as a person reads it. */
export function sentence(error: unknown): string {
  if (error instanceof ProblemError) {
    const mistakes = (error.problem.errors ?? []).map((one) => one.detail).join("; ");
    const wait = error.retryAfterMs === undefined ? "" : ` Try again in ${Math.ceil(error.retryAfterMs / 1000)} s.`;
    const id = error.requestId === undefined ? "" : ` (Request ${error.requestId})`;
    return `${mistakes || error.message}${wait}${id}`;
  }
  if (error instanceof ConnectionError) return navigator.onLine ? "OllamaNet did not answer. Try again." : "You are offline. Try again when you are back.";
  return error instanceof Error ? error.message : String(error);
}
