"use client";
import { useChat } from "@ai-sdk/react";
import { shown, useTransport } from "./transport";

export function Chat({ model }: { model: string }) {
  const { messages, status, error, sendMessage, stop } = useChat({ transport: useTransport(model) });
  const busy = status === "submitted" || status === "streaming";
  const ask = (form: FormData) => void (busy || sendMessage({ text: String(form.get("question")) }));
  return (
    <main>
      {messages.map((one) => <p key={one.id} className={one.role}>{shown(one) || "…"}</p>)}
      {error && <p role="alert">{error.message}</p>}
      <form action={ask}>
        <input name="question" aria-label={`Ask ${model}`} placeholder={`Ask ${model}`} autoComplete="off" required autoFocus />
        {busy ? <button type="button" onClick={stop}>Stop</button> : <button>Ask</button>}
      </form>
    </main>
  );
}
