import { OllamaNet, ProblemError } from "ollamanet";

/** The platform, through this page's own server (vite.config.ts), which adds the key. Lost connections are resumed. */
export const net = new OllamaNet();

declare const MODEL: string;

/** OLLAMANET_MODEL, else the first model that the platform has now. */
export async function firstModel(): Promise<string> {
  const impatient = new OllamaNet({ patience: { retries: 0 } });
  const { items } = await impatient.models.list({ limit: 100, signal: AbortSignal.timeout(10_000) });
  const found = items.find((one) => one.status !== "unavailable" && one.capabilities.includes("chat"));
  if (!MODEL && !found) throw new Error("The platform has no model for chats now: see its log.");
  return MODEL || found!.name;
}

/** What to do about it. */
export function explained(error: Error): string {
  if (error instanceof ProblemError && error.status === 401) {
    return 'OLLAMANET_API_KEY is missing in .env, or no longer valid. Make one, then start this server again: echo "OLLAMANET_API_KEY=$(ollamanet api-keys create {{name}})" >> .env';
  }
  if (error.name === "TimeoutError") return "The platform did not answer within 10 s: see its log.";
  return error.message;
}
