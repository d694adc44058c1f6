import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { OllamaNet } from "../src/index.js";
import type { Options } from "../src/http.js";

/** One answer of the scripted platform. */
export type Answer = (request: Asked, response: ServerResponse) => void | Promise<void>;

export interface Asked {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** A server that answers call by call what it was told to, and remembers what it was asked. */
export class Platform {
  readonly asked: Asked[] = [];
  readonly answers: Answer[] = [];
  readonly #server = createServer((request, response) => void this.#answer(request, response));

  static async start(): Promise<Platform> {
    const platform = new Platform();
    await new Promise<void>((resolve) => platform.#server.listen(0, "127.0.0.1", resolve));
    return platform;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  client(options: Options = {}): OllamaNet {
    return new OllamaNet({ baseURL: this.url, patience: { retries: 3, firstPause: 5, longestPause: 20 }, ...options });
  }

  stop(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const asked = {
      method: request.method ?? "",
      url: request.url ?? "",
      headers: request.headers,
      body: Buffer.concat(parts).toString(),
    };
    this.asked.push(asked);
    const answer = this.answers.shift();
    if (answer === undefined) response.writeHead(500).end("nothing was expected");
    else await answer(asked, response);
  }
}

/** JSON, as the platform answers. */
export function json(body: unknown, status = 200, headers: Record<string, string> = {}): Answer {
  return (_, response) => void response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
}

/** These pieces of a stream, each a write of its own; then its end, or (`cut`) a lost connection. */
export function stream(pieces: readonly (string | Uint8Array)[], how: "end" | "cut" | "open" = "end"): Answer {
  return async (_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const piece of pieces) {
      response.write(piece);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    if (how === "end") response.end();
    else if (how === "cut") response.destroy();
  };
}

/** One frame. */
export function frame(event: string, data: unknown, id?: string): string {
  return `${id === undefined ? "" : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

export const ACCEPTED = { generation_id: "g1", chat_id: "c1", message_id: "m1", reply_id: "r1", model: "small" };
export const COMPLETED = {
  finish_reason: "stop",
  usage: { input_tokens: 3, output_tokens: 2 },
  timings: { queue_ms: 0, load_ms: 0, ttft_ms: 1, total_ms: 2, tokens_per_second: 100 },
};
