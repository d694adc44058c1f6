import type { Watch } from "./watch.js";

/** One server-sent event as it came. */
export interface Frame {
  readonly event: string;
  readonly data: string;
  readonly id: string | undefined;
}

/** What a body of server-sent events holds besides its frames: `retry`, in milliseconds, asks to come back after that long. */
export interface Hints {
  retry?: number;
}

/** Lines, and the data of one frame, may be this long (characters): 1 MiB of text, every character escaped. */
const LONGEST = 8 * 1024 * 1024;

/**
 * The frames of a body, as they come; `watch` counts only while something is waited for. Leaving the loop closes the connection.
 *
 * @throws Error for a frame that never ends, and whatever the connection throws.
 */
export async function* frames(
  body: ReadableStream<Uint8Array>,
  hints: Hints = {},
  watch?: Watch,
): AsyncGenerator<Frame, void, void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let buffer = "";
  let event = "";
  let data: string[] = [];
  let size = 0;
  let id: string | undefined;
  try {
    for (;;) {
      watch?.alive();
      const { done, value } = await reader.read();
      watch?.rest();
      if (done) return; // what has no blank line after it was cut off
      buffer += decoder.decode(value, { stream: true });
      let start = 0;
      for (let end = buffer.indexOf("\n"); end >= 0; end = buffer.indexOf("\n", start)) {
        const line = buffer.charCodeAt(end - 1) === 13 ? buffer.slice(start, end - 1) : buffer.slice(start, end);
        start = end + 1;
        if (line === "") {
          if (data.length > 0) yield { event: event || "message", data: data.join("\n"), id };
          event = "";
          data = [];
          size = 0;
          id = undefined;
          continue;
        }
        const colon = line.indexOf(":");
        if (colon === 0) continue; // a comment that keeps the line alive
        const field = colon < 0 ? line : line.slice(0, colon);
        const content = colon < 0 ? "" : line.slice(line.charCodeAt(colon + 1) === 32 ? colon + 2 : colon + 1);
        if (field === "event") event = content;
        else if (field === "data") {
          data.push(content);
          size += content.length + 1;
        } else if (field === "id") id = content;
        else if (field === "retry" && /^\d{1,6}$/.test(content)) hints.retry = Number(content);
      }
      buffer = buffer.slice(start);
      if (buffer.length > LONGEST || size > LONGEST) throw new Error("The stream sent an event without an end.");
    }
  } finally {
    watch?.end();
    await reader.cancel().catch(() => undefined);
  }
}
