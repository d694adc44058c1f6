import { useEffect, useRef } from "preact/hooks";
import { Copy } from "./copy";
import { highlighted } from "./highlight";

/** A block of code with a button that copies it; coloured once it is closed. */
export function Code({ text, language, closed }: { readonly text: string; readonly language: string; readonly closed: boolean }) {
  const element = useRef<HTMLElement>(null);

  useEffect(() => {
    const shown = element.current!;
    write(shown, text);
    if (!closed) return;
    let left = false;
    void highlighted(text, language).then((coloured) => {
      if (!left && coloured !== undefined) shown.replaceChildren(coloured);
    });
    return () => { left = true; };
  }, [text, language, closed]);

  return (
    <figure class="code">
      <figcaption>
        <span>{language || "text"}</span>
        <span><Copy text={text} label="Copy this code" /></span>
      </figcaption>
      <pre tabIndex={0} dir="ltr"><code ref={element} /></pre>
    </figure>
  );
}

/** Only what came since is written: a long block that grows is not laid out anew. */
function write(element: HTMLElement, text: string): void {
  const [only, more] = element.childNodes;
  const before = only instanceof Text && more === undefined ? only.data : undefined;
  if (before === undefined || !text.startsWith(before)) element.textContent = text;
  else if (text.length > before.length) (only as Text).appendData(text.slice(before.length));
}
