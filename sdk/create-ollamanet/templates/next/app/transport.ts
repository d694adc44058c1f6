import type { UIMessage } from "@ai-sdk/react";
import { OllamaNet } from "ollamanet";
import { OllamaNetTransport } from "ollamanet/ai";
import { useState } from "react";

/** To the platform, through this app's own server (api/[...path]/route.ts), which adds the key. Lost connections are resumed. */
export function useTransport(model: string): OllamaNetTransport {
  return useState(() => new OllamaNetTransport(new OllamaNet(), { model }))[0];
}

/** The text that holds: what came before the reply began again is void. */
export function shown({ parts }: UIMessage): string {
  const valid = parts.slice(parts.findLastIndex((part) => part.type === "data-restarted") + 1);
  return valid.map((part) => (part.type === "text" ? part.text : "")).join("");
}
