import { OllamaNet, ProblemError } from "ollamanet";

/** The platform that served this page. The access token lives in memory only; the refresh token in a cookie that no script reads. */
export const net = new OllamaNet({ cookie: true });

/** An error as a person reads it. */
export function sentence(error: unknown): string {
  if (error instanceof ProblemError) {
    const mistakes = (error.problem.errors ?? []).map((one) => one.detail).join("; ");
    const wait = error.retryAfterMs === undefined ? "" : ` Try again in ${Math.ceil(error.retryAfterMs / 1000)} s.`;
    const id = error.requestId === undefined ? "" : ` (Request ${error.requestId})`;
    return `${mistakes || error.message}${wait}${id}`;
  }
  return error instanceof Error ? error.message : String(error);
}
