import type { Message } from "ollamanet";
import type { ComponentChildren } from "preact";
import { memo } from "preact/compat";
import type { LiveReply } from "./live";
import { Markdown } from "./markdown";

/** A message that does not change any more. */
export const Shown = memo(({ message }: { readonly message: Message }) => {
  if (message.role === "user") return <article class="question" aria-label="You asked"><p>{message.content}</p></article>;
  return (
    <article class="reply" aria-label="Answer">
      {message.thinking && <Thinking text={message.thinking} />}
      <Markdown text={message.content} live={false} />
      <End status={message.status} error={message.error?.message ?? ""} />
    </article>
  );
}, (old, now) => old.message === now.message);

/** The reply that is being written. */
export function Live({ reply }: { readonly reply: LiveReply }) {
  return (
    <article class="reply" aria-label="Answer" aria-busy={reply.running}>
      {reply.thinking && <Thinking text={reply.thinking} open={reply.text === "" && reply.running} />}
      {reply.text && <Markdown key={reply.restarts} text={reply.text} live={reply.running} />}
      {reply.status === "waiting" && <p class="waiting" aria-hidden="true"><span class="dots" />{waiting(reply)}</p>}
      <End status={reply.status} error={reply.error}>
        {reply.usage && `${reply.usage.output_tokens} tokens${reply.rate ? `, ${Math.round(reply.rate)} a second` : ""}`}
      </End>
      <p class="spoken" role="status">{reply.status === "waiting" ? waiting(reply) : reply.running ? "" : `Answer ${reply.status}.`}</p>
    </article>
  );
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
      <p>{text}</p>
    </details>
  );
}

function End({ status, error, children }: { readonly status: string; readonly error: string; readonly children?: ComponentChildren }) {
  if (status === "failed") return <p class="error" role="alert">{error || "This answer failed."}</p>;
  if (status === "cancelled") return <p class="end">Stopped.</p>;
  return children ? <p class="end">{children}</p> : null;
}
