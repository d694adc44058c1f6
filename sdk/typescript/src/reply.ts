import { ConnectionError, GenerationError, ProblemError } from "./errors.js";
import type { Http } from "./http.js";
import { pauseBefore, wait, type OnRetry } from "./patience.js";
import { frames, type Hints } from "./sse.js";
import { isTerminal, type StreamEvent, type Usage } from "./types.js";

/** How to follow a generation. */
export interface FollowOptions {
  /** Aborting stops following; with `onAbort: "cancel"` it stops the generation too. */
  readonly signal?: AbortSignal;
  /** `detach` (the default): the reply goes on and can be followed again. `cancel`: it ends as cancelled, for every device. */
  readonly onAbort?: "detach" | "cancel";
  /** Go on after the event of this id. */
  readonly after?: string;
  /** To show that the connection is lost, or the platform busy, while this client tries again by itself. */
  readonly onRetry?: OnRetry;
}

/** A whole reply. */
export interface Answer {
  readonly text: string;
  readonly thinking: string;
  readonly finishReason: string;
  readonly usage: Usage;
}

/** Opens the stream for the first time. */
export type Open = (signal: AbortSignal | undefined) => Promise<Response>;

/**
 * The reply to one question, while it is written. Iterate over its events, or wait for `answer()`.
 *
 * A lost connection, a deploy or a reload of the platform is no end: it resumes by itself where it was, on whichever edge
 * answers, with back-off and jitter. Every iteration ends with exactly one of `completed`, `cancelled`, `failed`.
 */
export class Reply implements AsyncIterable<StreamEvent> {
  /** Known from the first event on, or from the start where an existing generation is followed. */
  generationId: string | undefined;
  chatId: string | undefined;
  /** The id of the last event that came: resume after it. */
  lastEventId: string | undefined;
  readonly #http: Http;
  readonly #options: FollowOptions;
  #open: Open | undefined;

  constructor(http: Http, options: FollowOptions, open: Open | undefined, generationId?: string) {
    this.#http = http;
    this.#options = options;
    this.#open = open;
    this.generationId = generationId;
    this.lastEventId = options.after;
  }

  /** The events, as they come. Leaving the loop detaches. */
  async *[Symbol.asyncIterator](): AsyncGenerator<StreamEvent, void, void> {
    const { signal } = this.#options;
    try {
      yield* this.#events(signal);
    } catch (error) {
      if (signal?.aborted && this.#options.onAbort === "cancel") await this.cancel().catch(() => undefined);
      throw error;
    }
  }

  /**
   * The whole reply.
   *
   * @throws GenerationError when it failed or was cancelled, with the text as far as it came.
   */
  async answer(): Promise<Answer> {
    let text = "";
    let thinking = "";
    for await (const event of this) {
      if (event.event === "token") text += event.data.text;
      else if (event.event === "thinking") thinking += event.data.text;
      else if (event.event === "restarted") text = thinking = "";
      else if (event.event === "completed") {
        return { text, thinking, finishReason: event.data.finish_reason, usage: event.data.usage };
      } else if (event.event === "failed") {
        throw new GenerationError(event.data.code, event.data.message, event.data.retryable, text);
      } else if (event.event === "cancelled") throw new GenerationError("cancelled", "The reply was cancelled.", true, text);
    }
    throw new ConnectionError("The stream ended without an end.");
  }

  /** Stop the generation, for every device; the text so far is kept. Before `accepted` it only detaches. */
  async cancel(): Promise<void> {
    if (this.generationId === undefined) return;
    await this.#http.json(`/api/generations/${this.generationId}/cancel`, { method: "POST", headers: { "Idempotency-Key": crypto.randomUUID() } });
  }

  async *#events(signal: AbortSignal | undefined): AsyncGenerator<StreamEvent, void, void> {
    const hints: Hints = {};
    for (let failures = 0; ; ) {
      let trouble: unknown;
      try {
        const response = await this.#connect(signal);
        if (response.body === null) throw new ConnectionError("The platform sent no stream.");
        for await (const frame of frames(response.body, hints)) {
          const event = this.#note(frame.event, frame.data, frame.id);
          failures = 0;
          yield event;
          if (isTerminal(event)) return;
        }
      } catch (error) {
        if (signal?.aborted || error instanceof ProblemError || error instanceof ConnectionError) throw error;
        trouble = error;
      }
      if (++failures > this.#http.patience.retries) {
        throw new ConnectionError("The stream broke off again and again.", { cause: trouble });
      }
      const pause = pauseBefore(failures, this.#http.patience, hints.retry);
      this.#options.onRetry?.(trouble, pause);
      await wait(pause, signal);
    }
  }

  #connect(signal: AbortSignal | undefined): Promise<Response> {
    const open = this.#open;
    if (this.generationId === undefined && open !== undefined) return open(signal); // the same key: the same generation
    const headers: Record<string, string> = { Accept: "text/event-stream" };
    if (this.lastEventId !== undefined) headers["Last-Event-ID"] = this.lastEventId;
    return this.#http.answer(`/api/generations/${this.generationId}/stream`, { headers, signal, onRetry: this.#options.onRetry });
  }

  #note(event: string, data: string, id: string | undefined): StreamEvent {
    const parsed = { event, data: JSON.parse(data), ...(id === undefined ? {} : { id }) } as StreamEvent;
    if (id !== undefined) this.lastEventId = id;
    if (parsed.event === "accepted") {
      this.generationId = parsed.data.generation_id;
      this.chatId = parsed.data.chat_id;
    }
    return parsed;
  }
}
