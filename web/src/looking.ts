import { useCallback, useEffect, useRef } from "preact/hooks";

/**
 * Look now, again `every` so many milliseconds while somebody sees this window, and at once when it comes back.
 * Never two at a time: who asks meanwhile gets one more look afterwards. Gives what looks now.
 */
export function useLooking(look: () => Promise<void>, every: number): () => void {
  const latest = useRef(look);
  latest.current = look;
  const busy = useRef({ looking: false, again: false });

  const now = useCallback(async () => {
    const state = busy.current;
    if (state.looking) return void (state.again = true);
    state.looking = true;
    try {
      do {
        state.again = false;
        await latest.current();
      } while (state.again);
    } finally {
      state.looking = false;
    }
  }, []);

  useEffect(() => {
    const back = () => {
      if (document.visibilityState === "visible") void now();
    };
    void now();
    const timer = setInterval(back, every);
    document.addEventListener("visibilitychange", back);
    addEventListener("focus", back);
    addEventListener("online", back);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", back);
      removeEventListener("focus", back);
      removeEventListener("online", back);
    };
  }, [now, every]);

  return useCallback(() => void now(), [now]);
}
