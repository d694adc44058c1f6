import { OllamaNet, ProblemError } from "ollamanet";

/** On the server alone: where the platform is, and the key, which never reaches a browser. */
export function settings(): { url: string; apiKey: string } {
  return { url: (process.env.OLLAMANET_URL || "{{platform}}").replace(/\/+$/, ""), apiKey: process.env.OLLAMANET_API_KEY || "none" };
}

/** OLLAMANET_MODEL, else the first model that the platform has now. */
export async function firstModel(): Promise<string> {
  const { url, apiKey } = settings();
  const impatient = new OllamaNet({ baseURL: url, apiKey, patience: { retries: 0 } });
  const { items } = await impatient.models.list({ limit: 100, signal: AbortSignal.timeout(10_000) });
  const found = items.find((one) => one.status !== "unavailable" && one.capabilities.includes("chat"));
  if (!process.env.OLLAMANET_MODEL && !found) throw new Error(`The platform at ${url} has no model for chats now: see its log.`);
  return process.env.OLLAMANET_MODEL || found!.name;
}

/** What to do about it. */
export function explained(error: Error): string {
  if (error instanceof ProblemError && error.status === 401) {
    return 'OLLAMANET_API_KEY is missing in .env, or no longer valid. Make one, then start this server again: echo "OLLAMANET_API_KEY=$(ollamanet api-keys create {{name}})" >> .env';
  }
  if (error.name === "ConnectionError" || error.name === "TimeoutError") return noPlatform();
  return error.message;
}

export function noPlatform(): string {
  return `No OllamaNet answers at ${settings().url}. Start one (ollamanet up), or write another address to OLLAMANET_URL in .env.`;
}
