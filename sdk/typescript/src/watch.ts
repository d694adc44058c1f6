/** A signal that aborts with its parent, and when for `ms` nothing gave a sign of life. */
export class Watch {
  readonly #controller = new AbortController();
  readonly #ms: number;
  readonly #parent: AbortSignal | undefined;
  readonly #follow = () => this.#controller.abort(this.#parent?.reason);
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(ms: number, parent?: AbortSignal) {
    this.#ms = ms;
    this.#parent = parent;
    if (parent?.aborted) this.#follow();
    else parent?.addEventListener("abort", this.#follow, { once: true });
    this.alive();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Something came: count anew. */
  alive(): void {
    this.rest();
    this.#timer = setTimeout(() => this.#controller.abort(new Error(`Nothing came for ${this.#ms} ms.`)), this.#ms);
  }

  /** Nothing is waited for until `alive()`. */
  rest(): void {
    clearTimeout(this.#timer);
  }

  /** It is over; the parent's signal is left alone. */
  end(): void {
    this.rest();
    this.#parent?.removeEventListener("abort", this.#follow);
  }
}
