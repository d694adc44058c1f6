import type { Model } from "ollamanet";
import { useEffect, useRef, useState } from "preact/hooks";

interface Props {
  readonly models: readonly Model[] | undefined;
  readonly usual: string | undefined;
  readonly running: boolean;
  readonly onAsk: (model: string, content: string) => Promise<void>;
  readonly onStop: () => void;
}

const CHOSEN = "ollamanet.model";

/** Where one asks: Enter sends, Shift and Enter begins a line, Escape stops the answer. */
export function Composer({ models, usual, running, onAsk, onStop }: Props) {
  const [chosen, setChosen] = useState(() => localStorage.getItem(CHOSEN) ?? "");
  const [text, setText] = useState("");
  const field = useRef<HTMLTextAreaElement>(null);

  useEffect(() => {
    if (usual) setChosen(usual);
  }, [usual]);
  useEffect(() => {
    if (!running && matchMedia("(pointer: fine)").matches) field.current?.focus();
  }, [running]);
  useEffect(() => {
    const box = field.current;
    if (box === null) return;
    box.style.height = "auto";
    box.style.height = `${Math.min(box.scrollHeight, innerHeight / 3)}px`;
  }, [text]);

  const usable = models?.filter((one) => one.status === "available") ?? [];
  const model = usable.find((one) => one.name === chosen) ?? usable[0];
  const able = model !== undefined && text.trim() !== "" && !running;

  const send = () => {
    if (!able || model === undefined) return;
    const content = text;
    setText("");
    onAsk(model.name, content).catch(() => setText((now) => now || content)); // what was refused can be sent again
  };
  const choose = (name: string) => {
    setChosen(name);
    localStorage.setItem(CHOSEN, name);
  };

  return (
    <form class="composer" onSubmit={(event) => { event.preventDefault(); send(); }}>
      {model?.family === "fake" && <p class="notice">A demonstration model is answering: it only repeats and counts.</p>}
      {models !== undefined && models.length > 0 && usable.length === 0 && <p class="notice" role="status">No model is being served right now. It comes back by itself.</p>}
      <textarea
        ref={field} rows={1} value={text} aria-label="Your question" placeholder="Ask something"
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(key) => {
          if (key.key === "Enter" && !key.shiftKey && !key.isComposing) { key.preventDefault(); send(); }
          if (key.key === "Escape" && running) onStop();
        }}
      />
      <div class="bar">
        <label class="picker">
          <span>Model</span>
          <select value={model?.name ?? ""} disabled={models === undefined} onChange={(event) => choose(event.currentTarget.value)}>
            {models?.map((one) => <option key={one.name} value={one.name} disabled={one.status !== "available"}>{one.name}{one.status === "available" ? "" : " (not available)"}</option>)}
          </select>
        </label>
        {running
          ? <button type="button" class="stop" onClick={onStop}>Stop</button>
          : <button class="primary" disabled={!able}>Send</button>}
      </div>
    </form>
  );
}
