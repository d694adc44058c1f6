import { existsSync } from "node:fs";
import { OllamaNet, ProblemError } from "ollamanet";

if (existsSync(".env")) process.loadEnvFile(".env");

const url = process.env.OLLAMANET_URL || "{{platform}}";
const apiKey = process.env.OLLAMANET_API_KEY || "none";

/** Every error ends this program in one sentence that says what to do. */
process.on("uncaughtException", (error: Error) => {
  console.error(`\n${explained(error)}`);
  process.exit(1);
});

/** The platform, asked with this app's key. Lost connections are resumed. */
export const net = new OllamaNet({ baseURL: url, apiKey });

/** OLLAMANET_MODEL, else the first model that the platform has now. */
export const model = await firstModel();

/** Told while the connection is lost, or the platform busy, and it is tried again. */
export function platformSays(trouble: unknown, pause: number): void {
  const seconds = Math.ceil(pause / 1000);
  console.error(`[${trouble instanceof ProblemError ? trouble.message : "The connection is lost."} Again in ${seconds} s.]`);
}

async function firstModel(): Promise<string> {
  const impatient = new OllamaNet({ baseURL: url, apiKey, patience: { retries: 0 } });
  const { items } = await impatient.models.list({ limit: 100, signal: AbortSignal.timeout(10_000) });
  const found = items.find((one) => one.status !== "unavailable" && one.capabilities.includes("chat"));
  if (!process.env.OLLAMANET_MODEL && !found) throw new Error(`The platform at ${url} has no model for chats now: see its log.`);
  return process.env.OLLAMANET_MODEL || found!.name;
}

function explained(error: Error): string {
  if (error instanceof ProblemError && error.status === 401) {
    return 'OLLAMANET_API_KEY is missing in .env, or no longer valid. Make one:\n  echo "OLLAMANET_API_KEY=$(ollamanet api-keys create {{name}})" >> .env';
  }
  if (error.name === "ConnectionError" || error.name === "TimeoutError") {
    return `No OllamaNet answers at ${url}. Start one (ollamanet up), or write another address to OLLAMANET_URL in .env.`;
  }
  return error.message;
}
