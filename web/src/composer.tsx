import type { Model } from "ollamanet";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { draft } from "./drafts";
import { kept } from "./kept";

interface Props {
  readonly chatId: string | undefined;
  readonly models: readonly Model[] | undefined;
  /** The model that this chat was asked last. */
  readonly usual: string | undefined;
  readonly running: boolean;
  readonly stopping: boolean;
  readonly onAsk: (model: string, content: string) => Promise<void>;
  readonly onStop: () => void;
}

/** Where one asks: Enter sends, Shift and Enter begins a line, Escape stops the answer. */
export function Composer({ chatId, models, usual, running, stopping, onAsk, onStop }: Props) {
  const [chosen, setChosen] = useState<string>();
  const [text, setText] = useState(() => draft.of(chatId));
  const form = useRef<HTMLFormElement>(null);
  const field = useRef<HTMLTextAreaElement>(null);

  useEffect(() => {
    const elsewhere = document.activeElement !== document.body && !form.current!.contains(document.activeElement);
    if (!running && !elsewhere && matchMedia("(pointer: fine)").matches) field.current?.focus();
  }, [running]);
  const before = useRef(chatId);
  useEffect(() => {
    if (before.current !== chatId) draft.keep(before.current, ""); // a chat that begins takes it along
    before.current = chatId;
    draft.keep(chatId, text);
  }, [chatId, text]);
  useLayoutEffect(() => {
    const box = field.current!;
    box.style.height = "auto";
    box.style.height = `${Math.min(box.scrollHeight + 2, innerHeight / 3)}px`; // 2: its borders
  }, [text]);

  const wanted = chosen ?? usual ?? kept.read("model") ?? "";
  const usable = models?.filter((one) => one.status === "available") ?? [];
  const model = models?.find((one) => one.name === wanted) ?? usable[0] ?? models?.[0];
  const served = model?.status === "available";
  const able = served && text.trim() !== "" && !running;

  const send = () => {
    if (!able) return;
    const content = text;
    setText("");
    onAsk(model.name, content).catch(() => setText((now) => now || content)); // what was refused can be sent again
  };
  const choose = (name: string) => {
    setChosen(name);
    kept.write("model", name);
  };

  return (
    <form class="composer" ref={form} onSubmit={(event) => { event.preventDefault(); send(); }}>
      {served && model.family === "fake" && <p class="notice">A demonstration model is answering: it only repeats and counts.</p>}
      <Missing models={models} model={model} usable={usable.length > 0} wanted={usual} />
      <textarea
        id="question" ref={field} rows={1} value={text} dir="auto" aria-label="Your question" placeholder="Ask something"
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(key) => {
          if (key.key !== "Enter" || key.shiftKey || key.isComposing) return;
          key.preventDefault();
          send();
        }}
      />
      <div class="bar">
        <label class="picker">
          <span>Model</span>
          <select value={model?.name ?? ""} disabled={!models?.length} onChange={(event) => choose(event.currentTarget.value)}>
            {models?.map((one) => <option key={one.name} value={one.name} disabled={one.status !== "available"}>{one.name}{one.status === "available" ? "" : " (not available)"}</option>)}
          </select>
        </label>
        {running
          ? <button type="button" class="stop" disabled={stopping} onClick={onStop}>{stopping ? "Stopping …" : "Stop"}</button>
          : <button class="primary" disabled={!able}>Send</button>}
      </div>
    </form>
  );
}

interface Lack {
  readonly models: readonly Model[] | undefined;
  readonly model: Model | undefined;
  readonly usable: boolean;
  readonly wanted: string | undefined;
}

/** Why another model answers, or none: nobody is handed over to another one unasked. */
function Missing({ models, model, usable, wanted }: Lack) {
  if (!models?.length || model === undefined) return null;
  if (!usable) return <p class="notice" role="status">No model is being served right now. It comes back by itself.</p>;
  if (model.status !== "available") return <p class="notice" role="status">{model.name} is not being served right now. It comes back by itself; or choose another model.</p>;
  if (wanted && model.name !== wanted && !models.some((one) => one.name === wanted)) {
    return <p class="notice" role="status">{wanted} is not here any more: the next answer is {model.name}’s.</p>;
  }
  return null;
}
