import { useOllamaNetChat } from "ollamanet/react";
import { net } from "./platform";

export function Chat({ model }: { model: string }) {
  const { messages, status, error, send, stop } = useOllamaNetChat(net, { model });
  const busy = status === "waiting" || status === "streaming";
  const ask = (form: FormData) => void (busy || send(String(form.get("question"))));
  return (
    <main>
      {messages.map(({ id, role, content }) => <p key={id} className={role}>{content || "…"}</p>)}
      {error && <p role="alert">{error.message}</p>}
      <form action={ask}>
        <input name="question" aria-label={`Ask ${model}`} placeholder={`Ask ${model}`} autoComplete="off" required autoFocus />
        {busy ? <button type="button" onClick={stop}>Stop</button> : <button>Ask</button>}
      </form>
    </main>
  );
}
