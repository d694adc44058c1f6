import type { User } from "ollamanet";
import { useCallback, useEffect, useState } from "preact/hooks";
import { net, sentence } from "./client";
import { Desk } from "./desk";
import { Entrance } from "./entrance";

/** Says that there may be a cookie; it cannot be seen from here. */
const HERE = "ollamanet.here";

/** Who is here: nobody knows yet, nobody, or a person. */
export function App() {
  const [user, setUser] = useState<User | null>();
  const [welcome, setWelcome] = useState(false);
  const [trouble, setTrouble] = useState("");

  useEffect(() => {
    if (localStorage.getItem(HERE) === null) return setUser(null); // nobody ever logged in: nothing to ask for
    net.auth.resume().then(
      (found) => setUser(found ?? null),
      (error: unknown) => {
        setTrouble(sentence(error));
        setUser(null);
      },
    );
  }, []);

  const enter = useCallback((found: User, isNew: boolean) => {
    setTrouble("");
    localStorage.setItem(HERE, "yes");
    setWelcome(isNew && found.role === "admin");
    setUser(found);
  }, []);
  const leave = useCallback(() => {
    localStorage.removeItem(HERE);
    void net.auth.logOut().catch(() => undefined);
    setUser(null);
  }, []);

  if (user === undefined) return <main class="starting" aria-busy="true" />;
  if (user === null) return <Entrance onEnter={enter} trouble={trouble} />;
  return <Desk user={user} welcome={welcome} onLeave={leave} />;
}
