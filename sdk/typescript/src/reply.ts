import { ConnectionError, GenerationError, ProblemError } from "./errors.js";
import type { Http, Opened } from "./http.js";
import { randomId } from "./ids.js";
import { pauseBefore, wait, type OnRetry } from "./patience.js";
import { frames, type Hints } from "./sse.js";
import { isTerminal, type StreamEvent, type Usage } from "./types.js";
import { Watch } from "./watch.js";

/** How to follow a generation. */
export interface FollowOptions {
  /** Aborting stops following; with `onAbort: "cancel"` it stops the generation too. */
  readonly signal?: AbortSignal;
  /**
   * `detach` (the default): the reply goes on and can be followed again. `cancel`: it ends as cancelled, for every device, also
   * where it was not told yet that it was accepted. The signal's reason is thrown once that is arranged, after 5 seconds at most.
   */
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
export type Open = (signal: AbortSignal | undefined) => Promise<Opened>;

/** Milliseconds in which an aborted reply is cancelled, or not at all. */
const CANCELLING = 5_000;

/**
 * The reply to one question, while it is written. Iterate over its events, or wait for `answer()`.
 *
 * A lost connection, a deploy or a reload of the platform is no end: it resumes by itself where it was, on whichever edge
 * answers, with back-off and jitter. Every iteration ends with exactly one of `completed`, `cancelled`, `failed`. Leaving the
 * loop detaches; iterating again goes on after the last event.
 */
export class Reply implements AsyncIterable<StreamEvent> {
  /** Known from the first event on, or from the start where an existing generation is followed. */
  generationId: string | undefined;
  chatId: string | undefined;
  /** The id of the last event that came: resume after it. */
  lastEventId: string | undefined;
  /** What was said and thought so far. */
  text = "";
  thinking = "";
  readonly #http: Http;
  readonly #options: FollowOptions;
  readonly #open: Open | undefined;
  #asked = false;
  #unwanted = false;
  #end: StreamEvent | undefined;

  constructor(http: Http, options: FollowOptions, open: Open | undefined, generationId?: string) {
    this.#http = http;
    this.#options = options;
    this.#open = open;
    this.generationId = generationId;
    this.lastEventId = options.after;
  }

  /** The events, as they come. */
  async *[Symbol.asyncIterator](): AsyncGenerator<StreamEvent, void, void> {
    const { signal } = this.#options;
    try {
      yield* this.#events(signal);
    } catch (error) {
      if (signal?.aborted && this.#options.onAbort === "cancel") await this.#abandon();
      throw error;
    }
  }

  /**
   * The whole reply; with `after`, what was said since then.
   *
   * @throws GenerationError when it failed or was cancelled, with the text as far as it came.
   */
  async answer(): Promise<Answer> {
    if (this.#end === undefined) for await (const _ of this);
    const { text, thinking } = this;
    const end = this.#end as StreamEvent | undefined;
    if (end?.event === "completed") return { text, thinking, finishReason: end.data.finish_reason, usage: end.data.usage };
    if (end?.event === "failed") throw new GenerationError(end.data.code, end.data.message, end.data.retryable, text);
    throw new GenerationError("cancelled", "The reply was cancelled.", true, text);
  }

  /** Stop the generation, for every device; the text so far is kept. Before the first event: as soon as that comes. */
  async cancel(): Promise<void> {
    if (this.generationId === undefined) this.#unwanted = true;
    else await this.#stop(this.generationId);
  }

  async *#events(signal: AbortSignal | undefined): AsyncGenerator<StreamEvent, void, void> {
    const hints: Hints = {};
    for (let failures = 0; ; ) {
      let trouble: unknown;
      try {
        const { response, watch } = await this.#connect(signal);
        if (response.body === null) throw new Error("The platform sent no stream.");
        for await (const frame of frames(response.body, hints, watch)) {
          const event = this.#note(frame.event, frame.data, frame.id);
          failures = 0;
          yield event;
          if (isTerminal(event)) return;
          if (this.#unwanted && this.generationId !== undefined) await this.#stop(this.generationId);
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

  async #connect(signal: AbortSignal | undefined): Promise<Opened> {
    signal?.throwIfAborted();
    if (this.generationId === undefined && this.#open !== undefined) {
      this.#asked = true;
      return this.#open(signal); // the same key: the same generation
    }
    const headers: Record<string, string> = { Accept: "text/event-stream" };
    if (this.lastEventId !== undefined) headers["Last-Event-ID"] = this.lastEventId;
    return this.#http.open(`/api/generations/${this.generationId}/stream`, { headers, signal, onRetry: this.#options.onRetry });
  }

  #note(event: string, data: string, id: string | undefined): StreamEvent {
    const parsed = { event, data: JSON.parse(data), ...(id === undefined ? {} : { id }) } as StreamEvent;
    if (id !== undefined) this.lastEventId = id;
    if (parsed.event === "accepted") {
      this.generationId = parsed.data.generation_id;
      this.chatId = parsed.data.chat_id;
    } else if (parsed.event === "token") this.text += parsed.data.text;
    else if (parsed.event === "thinking") this.thinking += parsed.data.text;
    else if (parsed.event === "restarted") this.text = this.thinking = "";
    else if (isTerminal(parsed)) this.#end = parsed;
    return parsed;
  }

  async #stop(generationId: string, signal?: AbortSignal): Promise<void> {
    this.#unwanted = false;
    const headers = { "Idempotency-Key": randomId() };
    await this.#http.json(`/api/generations/${generationId}/cancel`, { method: "POST", headers, signal });
  }

  /** Cancel what was aborted, as far as that can be done in time: nobody is left to whom trouble could be told. */
  async #abandon(): Promise<void> {
    const watch = new Watch(CANCELLING);
    try {
      if (this.generationId === undefined && this.#asked) await this.#find(watch.signal);
      if (this.generationId !== undefined) await this.#stop(this.generationId, watch.signal);
    } catch {
      return;
    } finally {
      watch.end();
    }
  }

  /** Which generation it is that was asked for, without having heard of it: the same key tells. */
  async #find(signal: AbortSignal): Promise<void> {
    const { response, watch } = await this.#connect(signal);
    if (response.body === null) return watch.end();
    for await (const frame of frames(response.body, {}, watch)) {
      this.#note(frame.event, frame.data, frame.id);
      if (this.generationId !== undefined) return;
    }
  }
}
