import type { RefObject } from "preact";
import { useCallback, useLayoutEffect, useRef, useState } from "preact/hooks";

/** So many messages come with each step back or forth. */
const STEP = 60;
/** So many stand in the page at most: beyond it, what is far away goes. */
const MOST = 240;
/** This close to the end (pixels) the view follows it. */
const NEAR = 80;

export interface Stretch {
  readonly from: number;
  readonly to: number;
  /** Whether the view stands at the very end, and follows it. */
  readonly atEnd: boolean;
  readonly earlier: () => void;
  readonly later: () => void;
  /** To the end, and follow it. */
  readonly end: () => void;
  readonly onScroll: () => void;
}

/**
 * Which of `count` messages stand in the page, so that ten thousand cost as little as sixty. What is being read stays where it is
 * when others come or go; where nobody scrolled away, the view follows the end.
 */
export function useStretch(count: number, scroller: RefObject<HTMLElement | null>): Stretch {
  const [place, setPlace] = useState<{ readonly from: number; readonly to: number } | undefined>(); // undefined: the last ones
  const [atEnd, setAtEnd] = useState(true);
  const follows = useRef(true);
  const top = useRef(0);
  const held = useRef<{ readonly element: Element; readonly top: number } | undefined>(undefined);

  const to = Math.min(count, place?.to ?? Infinity);
  const from = Math.max(0, place === undefined ? to - STEP : Math.min(place.from, to));

  const follow = useCallback((now: boolean) => {
    follows.current = now;
    setAtEnd(now);
  }, []);

  /** Remember where something stands that is being read and that stays. */
  const hold = useCallback((side: "first" | "last") => {
    const shown = [...(scroller.current?.querySelectorAll("article") ?? [])];
    const view = scroller.current?.getBoundingClientRect();
    const seen = shown.filter((one) => view !== undefined && one.getBoundingClientRect().bottom > view.top && one.getBoundingClientRect().top < view.bottom);
    const element = (side === "first" ? seen[0] : seen.at(-1)) ?? (side === "first" ? shown[0] : shown.at(-1));
    held.current = element && { element, top: element.getBoundingClientRect().top };
  }, [scroller]);

  const earlier = useCallback(() => {
    if (from === 0) return;
    hold("first");
    follow(false);
    const start = Math.max(0, from - STEP);
    setPlace({ from: start, to: to > start + MOST ? start + MOST : to === count ? Infinity : to });
  }, [from, to, count, hold, follow]);
  const later = useCallback(() => {
    if (to === count) return;
    hold("last");
    const end = Math.min(count, to + STEP);
    setPlace({ from: Math.max(from, end - MOST), to: end === count ? Infinity : end });
  }, [from, to, count, hold]);
  const end = useCallback(() => {
    setPlace(undefined);
    follow(true);
    const view = scroller.current;
    if (view !== null) view.scrollTop = view.scrollHeight;
  }, [scroller, follow]);

  const onScroll = useCallback(() => {
    const view = scroller.current;
    if (view === null) return;
    const near = view.scrollHeight - view.scrollTop - view.clientHeight < NEAR && to === count;
    const back = view.scrollTop < top.current; // what grows at the end moves nobody away from it
    top.current = view.scrollTop;
    if (near && !follows.current) follow(true);
    if (near && place !== undefined) setPlace(undefined);
    if (near || !back) return;
    if (follows.current) follow(false);
    if (place === undefined) setPlace({ from, to: Infinity });
  }, [scroller, from, to, count, place, follow]);

  useLayoutEffect(() => {
    const kept = held.current;
    held.current = undefined;
    if (kept?.element.isConnected) scroller.current!.scrollTop += kept.element.getBoundingClientRect().top - kept.top;
  }, [from, to, scroller]);

  useLayoutEffect(() => {
    const view = scroller.current!;
    const grown = new ResizeObserver(() => {
      if (follows.current) view.scrollTop = view.scrollHeight;
    });
    grown.observe(view);
    grown.observe(view.firstElementChild!);
    return () => grown.disconnect();
  }, [scroller]);

  return { from, to, atEnd, earlier, later, end, onScroll };
}
