import { ProblemError, type User } from "ollamanet";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { net, sentence, session } from "./client";
import { Desk } from "./desk";
import { draft } from "./drafts";
import { Entrance } from "./entrance";
import { kept } from "./kept";
import { announce, hear } from "./windows";

/** Says that there may be a cookie; it cannot be seen from here. */
const HERE = "here";

/** Who is here: nobody knows yet, nobody, or a person. `first`: nobody has an account, whoever makes one is the administrator. */
export function App({ first }: { readonly first: boolean }) {
  const [user, setUser] = useState<User | null>();
  const [welcome, setWelcome] = useState(false);
  const [trouble, setTrouble] = useState("");
  const [anybody, setAnybody] = useState(!first);
  const here = useRef<User | null>(null);
  const last = useRef<string | undefined>(undefined);

  const put = useCallback((found: User | null, why = "") => {
    if (found !== null && last.current !== undefined && last.current !== found.id) draft.forget();
    if (found !== null) last.current = found.id;
    here.current = found;
    kept.write(HERE, found === null ? null : "yes");
    setTrouble(why);
    setUser(found);
  }, []);

  useEffect(() => {
    session.told = (tokens) => {
      if (here.current === null) return;
      if (tokens === null) put(null, "Your session has ended: log in again. What was being answered goes on.");
      else if (tokens.user.id !== here.current.id) put(tokens.user); // another window changed it
    };
    const deaf = hear((news) => { if (news.left && here.current !== null) put(null, "You logged out in another window."); });
    return deaf;
  }, [put]);

  const resume = useCallback(async () => {
    setTrouble("");
    try {
      put((await net.auth.resume()) ?? null);
    } catch (error) {
      if (error instanceof ProblemError) put(null, sentence(error));
      else setTrouble("OllamaNet cannot be reached.");
    }
  }, [put]);
  useEffect(() => {
    if (kept.read(HERE) === null) return setUser(null); // nobody ever logged in: nothing to ask for
    void resume();
    const again = () => { if (here.current === null && kept.read(HERE) !== null) void resume(); };
    addEventListener("online", again);
    return () => removeEventListener("online", again);
  }, [resume]);

  const enter = useCallback((found: User, isNew: boolean) => {
    setWelcome(isNew && found.role === "admin");
    setAnybody(true);
    put(found);
  }, [put]);
  const leave = useCallback(() => {
    draft.forget();
    put(null);
    void net.auth.logOut().catch(() => undefined).then(() => announce({ left: true }));
  }, [put]);

  if (user === undefined) return <Starting trouble={trouble} onAgain={() => void resume()} />;
  if (user === null) return <Entrance onEnter={enter} trouble={trouble} first={!anybody} />;
  return <Desk key={user.id} user={user} welcome={welcome} onLeave={leave} />;
}

/** The empty desk, while the cookie is tried. */
function Starting({ trouble, onAgain }: { readonly trouble: string; readonly onAgain: () => void }) {
  return (
    <div class="desk" aria-busy={trouble === ""}>
      <div class="sidebar" />
      <main class="stage">
        <header><h1>OllamaNet</h1></header>
        {trouble && <p class="error" role="alert">{trouble} <button class="link" onClick={onAgain}>Try again</button></p>}
      </main>
    </div>
  );
}
