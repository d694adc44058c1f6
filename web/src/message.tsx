import type { Message, Usage } from "ollamanet";
import { memo } from "preact/compat";
import { useState } from "preact/hooks";
import { Copy } from "./copy";
import type { LiveReply } from "./live";
import { Markdown } from "./markdown";

/** A longer question (characters) is folded: a pasted file would push the answer out of sight. */
const LONG = 3_000;

type Told = { readonly message: Message; readonly live?: never } | { readonly live: LiveReply; readonly message?: never };

/** One message: as it is kept, or the reply that is being written. What is kept is drawn again only when it changed. */
export const Shown = memo(
  ({ message, live }: Told) => (live ? <Live reply={live} /> : message?.role === "user" ? <Question text={message.content} /> : <Kept message={message!} />),
  (old: Told, now: Told) => old.live === undefined && now.live === undefined && old.message === now.message,
);

function Question({ text }: { readonly text: string }) {
  const [whole, setWhole] = useState(text.length <= LONG);
  return (
    <article class="question" aria-label="You asked">
      <p dir="auto">{whole ? text : `${text.slice(0, LONG)} …`}</p>
      {text.length > LONG && (
        <button class="link" aria-expanded={whole} onClick={() => setWhole(!whole)}>
          {whole ? "Show less" : `Show all ${text.length.toLocaleString()} characters`}
        </button>
      )}
    </article>
  );
}

function Kept({ message }: { readonly message: Message }) {
  const { content, thinking, tool_calls, status, error, usage, model, generation_id } = message;
  return (
    <article class="reply" aria-label="Answer">
      {thinking && <Thinking text={thinking} />}
      {tool_calls?.map((call) => <ToolCall key={call.id} {...call} />)}
      {content && <Markdown text={content} live={false} />}
      <End status={status} error={error?.message ?? ""} generationId={generation_id} text={content} facts={facts(model, usage)} />
    </article>
  );
}

function Live({ reply }: { readonly reply: LiveReply }) {
  return (
    <article class="reply" aria-label="Answer" aria-busy={reply.running}>
      {reply.thinking && <Thinking text={reply.thinking} open={reply.text === "" && reply.running} />}
      {reply.tools.map((call, at) => <ToolCall key={at} {...call} />)}
      {reply.text && <Markdown key={reply.restarts} text={reply.text} live={reply.running} />}
      {reply.status === "waiting" && !reply.trouble && <p class="waiting" aria-hidden="true"><span class="dots" />{waiting(reply)}</p>}
      {reply.trouble && <p class="notice" role="status">{reply.trouble}</p>}
      {!reply.running && <End now status={reply.status} error={reply.error} generationId={reply.generationId} text={reply.text} facts={facts(reply.model, reply.usage, reply.rate)} />}
    </article>
  );
}

/** What a screen reader hears of an answer: that it waits, is written, has ended; never its tokens as they come. */
export function Spoken({ live }: { readonly live: LiveReply | undefined }) {
  return <p class="spoken" role="status">{live && spoken(live)}</p>;
}

function spoken(reply: LiveReply): string {
  if (reply.status === "waiting") return waiting(reply);
  if (reply.running) return "The answer is being written.";
  return `Answer ${reply.status}.`;
}

/** What the answer is waiting for. */
function waiting({ queue, restarts, backend }: LiveReply): string {
  if (queue !== undefined) {
    const eta = queue.eta_ms === null ? "" : `, about ${Math.max(1, Math.round(queue.eta_ms / 1000))} s`;
    return `Number ${queue.position} in the queue${eta}`;
  }
  return `${restarts > 0 ? "The answer begins again" : backend ? "The model is reading" : "Waiting"} …`;
}

function Thinking({ text, open = false }: { readonly text: string; readonly open?: boolean }) {
  return (
    <details class="thinking" open={open}>
      <summary>{open ? "Thinking …" : "Thought"}</summary>
      <p dir="auto">{text}</p>
    </details>
  );
}

function ToolCall({ name, arguments: given }: { readonly name: string; readonly arguments?: unknown }) {
  return (
    <details class="thinking">
      <summary>Asked for the tool <code>{name}</code></summary>
      <p><code>{JSON.stringify(given ?? {}, null, 2)}</code></p>
    </details>
  );
}

interface Ended {
  /** It ended before somebody's eyes. */
  readonly now?: boolean;
  readonly status: string;
  readonly error: string;
  readonly generationId: string | null | undefined;
  readonly text: string;
  readonly facts: string;
}

function End({ now = false, status, error, generationId, text, facts }: Ended) {
  const id = generationId && !error.includes("(Request") ? ` (Generation ${generationId})` : "";
  return (
    <>
      {status === "failed" && <p class="error" role={now ? "alert" : undefined}>{ended(error || "This answer failed")}{id}</p>}
      {status === "streaming" && <p class="end">Still being written.</p>}
      <p class="end">
        {status === "cancelled" && <span>Stopped.</span>}
        {facts && <span>{facts}</span>}
        {text && <Copy text={text} label="Copy this answer" />}
      </p>
    </>
  );
}

const ended = (sentence: string) => (/[.!?)]$/.test(sentence) ? sentence : `${sentence}.`);

function facts(model: string | null | undefined, usage: Usage | null | undefined, rate?: number | undefined): string {
  const tokens = usage ? `${usage.output_tokens} tokens${rate ? `, ${Math.round(rate)} a second` : ""}` : "";
  return [model ?? "", tokens].filter(Boolean).join(" · ");
}
