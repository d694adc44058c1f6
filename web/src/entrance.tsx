import type { User } from "ollamanet";
import { useState } from "preact/hooks";
import { net, sentence } from "./client";

interface Props {
  readonly onEnter: (user: User, isNew: boolean) => void;
  readonly trouble: string;
  /** Nobody has an account yet. */
  readonly first: boolean;
}

/** Log in, or make an account. */
export function Entrance({ onEnter, trouble, first }: Props) {
  const [isNew, setNew] = useState(first);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(trouble);

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget as HTMLFormElement);
    const [email, password] = [String(given.get("email")), String(given.get("password"))];
    setBusy(true);
    setError("");
    try {
      onEnter(await (isNew ? net.auth.signUp(email, password) : net.auth.logIn(email, password)), isNew);
    } catch (refused) {
      setError(sentence(refused));
      setBusy(false);
    }
  };

  return (
    <main class="entrance">
      <h1>OllamaNet</h1>
      <p class="lead">Ask language models, and never lose an answer.</p>
      {first && <p class="notice">Nobody has an account here yet. The first one is the administrator’s: make yours.</p>}
      <form onSubmit={(event) => void submit(event)} aria-label={isNew ? "Sign up" : "Log in"}>
        <label>
          E-mail
          <input name="email" type="email" required maxLength={254} autocomplete="username" autofocus />
        </label>
        <label>
          Password
          <input
            name="password" type="password" required minLength={isNew ? 10 : 1} maxLength={1024}
            autocomplete={isNew ? "new-password" : "current-password"} aria-describedby={isNew ? "rule" : undefined}
          />
        </label>
        {isNew && <small id="rule">At least 10 characters.</small>}
        {error && <p class="error" role="alert">{error}</p>}
        <button class="primary" disabled={busy}>{busy ? "One moment …" : isNew ? "Sign up" : "Log in"}</button>
      </form>
      <p>
        {isNew ? "You have an account?" : "No account yet?"}{" "}
        <button class="link" type="button" onClick={() => { setNew(!isNew); setError(""); }}>{isNew ? "Log in" : "Sign up"}</button>
      </p>
    </main>
  );
}
