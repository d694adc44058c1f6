/** How often and how patiently trouble is tried again. Times in milliseconds. */
export interface Patience {
  /** Tries after the first one; a stream counts anew whenever something came. */
  readonly retries: number;
  readonly firstPause: number;
  readonly longestPause: number;
  /** Where the platform asks to wait for longer than this, its refusal is thrown at once. */
  readonly longestAsked: number;
  /** A call without a stream has to be answered in full within this time. */
  readonly answer: number;
  /** A stream that says nothing for this long is lost: a living one says something every 15 seconds. */
  readonly silence: number;
}

export const PATIENCE: Patience = {
  retries: 8,
  firstPause: 250,
  longestPause: 10_000,
  longestAsked: 60_000,
  answer: 30_000,
  silence: 45_000,
};

/** Told of trouble that passes, before the same is tried again: why, and after how many milliseconds. */
export type OnRetry = (trouble: unknown, pause: number) => void;

/** The pause before try `n` (from 1): doubled each time, with jitter, and never shorter than what the platform asked for. */
export function pauseBefore(n: number, patience: Patience, asked = 0): number {
  const most = Math.min(patience.longestPause, patience.firstPause * 2 ** (n - 1));
  const jittered = most / 2 + (Math.random() * most) / 2;
  return Math.max(jittered, Math.min(asked, patience.longestAsked) * (1 + Math.random() / 10));
}

/** Wait; a signal ends it early by throwing its reason. */
export async function wait(ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** Milliseconds of `retry-after-ms`, else of `Retry-After` (seconds, or a date). */
export function retryAfter(headers: Headers): number | undefined {
  const precise = Number(headers.get("retry-after-ms") ?? "");
  if (precise > 0) return precise;
  const told = headers.get("retry-after");
  if (!told) return undefined;
  const seconds = Number(told);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(told) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}
