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
  /** Answers what comes when `answers` is empty. */
  answer: ((asked: Asked) => Answer) | undefined;
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
    const answer = this.answers.shift() ?? this.answer?.(asked);
    if (answer === undefined) response.writeHead(500).end("nothing was expected");
    else await answer(asked, response);
  }
}

/** JSON, as the platform answers. */
export function json(body: unknown, status = 200, headers: Record<string, string> = {}): Answer {
  return (_, response) => void response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
}

/** 204. */
export const nothing: Answer = (_, response) => void response.writeHead(204).end();

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

export const accepted = frame("accepted", ACCEPTED, "1-0");
export const token = (text: string, id: string) => frame("token", { text }, id);
export const completed = (id: string) => frame("completed", COMPLETED, id);

/** A stream that the test writes; `ended` once the client hung up. */
export function written(): { answer: Answer; write: (text: string) => void; ended: Promise<void> } {
  let write: ((text: string) => void) | undefined;
  let end: () => void;
  const waiting: string[] = [];
  const ended = new Promise<void>((resolve) => (end = resolve));
  const answer: Answer = (_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.on("close", () => end());
    write = (text) => void response.write(text);
    for (const one of waiting) write(one);
  };
  return { answer, ended, write: (text) => (write === undefined ? void waiting.push(text) : write(text)) };
}

/** Wait for a fact; `turn` lets things happen meanwhile. */
export async function until(fact: () => boolean, turn = () => new Promise<void>((resolve) => setTimeout(resolve, 2))): Promise<void> {
  for (const end = Date.now() + 5000; !fact(); await turn()) if (Date.now() > end) throw new Error("It never came.");
}
