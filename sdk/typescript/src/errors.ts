import type { ProblemDetails } from "./types.js";

/**
 * Whatever this client throws.
 *
 * ```
 * OllamaNetError
 * ├── ProblemError        the platform refused: `status`, `code`, `requestId`, `retryAfterMs`
 * ├── ConnectionError     the platform could not be reached, however often it was tried
 * └── GenerationError     the generation ended without an answer: `code`, `retryable`, `partialText`
 * ```
 */
export class OllamaNetError extends Error {
  override name = "OllamaNetError";
}

/** The platform answered with a problem (RFC 9457). Compare `code`, for example `unknown_model` or `reply_in_progress`. */
export class ProblemError extends OllamaNetError {
  override name = "ProblemError";
  readonly status: number;
  readonly code: string;
  readonly requestId: string | undefined;
  /** Milliseconds after which the same call makes sense again, where the platform says so. */
  readonly retryAfterMs: number | undefined;
  /** The whole answer, with fields like `errors` (422), `limit` (413) or `generation_id` (409). */
  readonly problem: Partial<ProblemDetails> & Readonly<Record<string, unknown>>;

  constructor(status: number, problem: Partial<ProblemDetails> & Record<string, unknown>, retryAfterMs?: number) {
    super(problem.detail || problem.title || `The platform answered ${status}.`);
    this.status = status;
    this.code = problem.code ?? "unknown";
    this.requestId = problem.request_id ?? undefined;
    this.retryAfterMs = retryAfterMs;
    this.problem = problem;
  }
}

/** Nobody answered, or the connection broke again and again. `cause` is the last trouble. */
export class ConnectionError extends OllamaNetError {
  override name = "ConnectionError";
}

/** The stream ended with `failed`, or with `cancelled` where an answer was awaited. */
export class GenerationError extends OllamaNetError {
  override name = "GenerationError";
  readonly code: string;
  readonly retryable: boolean;
  readonly partialText: string;

  constructor(code: string, message: string, retryable: boolean, partialText: string) {
    super(message);
    this.code = code;
    this.retryable = retryable;
    this.partialText = partialText;
  }
}
