import type { HLJSApi, LanguageFn } from "highlight.js";
import { useEffect, useRef, useState } from "preact/hooks";

/** Each is fetched when the first block of it is closed. */
const LANGUAGES: Readonly<Record<string, () => Promise<{ readonly default: LanguageFn }>>> = {
  bash: () => import("highlight.js/lib/languages/bash"),
  c: () => import("highlight.js/lib/languages/c"),
  cpp: () => import("highlight.js/lib/languages/cpp"),
  csharp: () => import("highlight.js/lib/languages/csharp"),
  css: () => import("highlight.js/lib/languages/css"),
  diff: () => import("highlight.js/lib/languages/diff"),
  dockerfile: () => import("highlight.js/lib/languages/dockerfile"),
  go: () => import("highlight.js/lib/languages/go"),
  java: () => import("highlight.js/lib/languages/java"),
  javascript: () => import("highlight.js/lib/languages/javascript"),
  json: () => import("highlight.js/lib/languages/json"),
  kotlin: () => import("highlight.js/lib/languages/kotlin"),
  markdown: () => import("highlight.js/lib/languages/markdown"),
  php: () => import("highlight.js/lib/languages/php"),
  python: () => import("highlight.js/lib/languages/python"),
  ruby: () => import("highlight.js/lib/languages/ruby"),
  rust: () => import("highlight.js/lib/languages/rust"),
  sql: () => import("highlight.js/lib/languages/sql"),
  swift: () => import("highlight.js/lib/languages/swift"),
  typescript: () => import("highlight.js/lib/languages/typescript"),
  xml: () => import("highlight.js/lib/languages/xml"),
  yaml: () => import("highlight.js/lib/languages/yaml"),
};
const ALIASES: Readonly<Record<string, string>> = {
  sh: "bash", shell: "bash", zsh: "bash", "c++": "cpp", cs: "csharp", js: "javascript", jsx: "javascript", ts: "typescript", tsx: "typescript",
  py: "python", rb: "ruby", rs: "rust", html: "xml", svg: "xml", yml: "yaml", md: "markdown", kt: "kotlin", golang: "go",
};
/** Longer code (characters) stays plain: highlighting would stop the page for a moment. */
const LONGEST = 50_000;

let core: Promise<HLJSApi> | undefined;

async function highlighter(language: string): Promise<HLJSApi | undefined> {
  const load = LANGUAGES[language];
  if (load === undefined) return undefined;
  core ??= import("highlight.js/lib/core").then((one) => one.default);
  const api = await core;
  if (!api.getLanguage(language)) api.registerLanguage(language, (await load()).default);
  return api;
}

/** A block of code with a button that copies it; coloured once it is closed. */
export function Code({ text, language, closed }: { readonly text: string; readonly language: string; readonly closed: boolean }) {
  const element = useRef<HTMLElement>(null);
  const [copied, setCopied] = useState(false);

  useEffect(() => {
    const name = ALIASES[language.toLowerCase()] ?? language.toLowerCase();
    const shown = element.current;
    if (shown === null) return;
    shown.textContent = text;
    if (!closed || text.length > LONGEST) return;
    let left = false;
    void highlighter(name).then((api) => {
      if (left || api === undefined) return;
      const parsed = new DOMParser().parseFromString(api.highlight(text, { language: name }).value, "text/html");
      shown.replaceChildren(...parsed.body.childNodes); // hljs escapes: spans with classes, and text
    });
    return () => { left = true; };
  }, [text, language, closed]);

  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  };

  return (
    <figure class="code">
      <figcaption>
        <span>{language || "text"}</span>
        <button class="link" onClick={() => void copy()} aria-label="Copy this code">{copied ? "Copied" : "Copy"}</button>
      </figcaption>
      <pre tabIndex={0}><code ref={element} /></pre>
    </figure>
  );
}
