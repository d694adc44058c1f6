import type { HLJSApi, LanguageFn } from "highlight.js";

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
const ALIASES = new Map(Object.entries({
  sh: "bash", shell: "bash", zsh: "bash", "c++": "cpp", cs: "csharp", js: "javascript", jsx: "javascript", ts: "typescript", tsx: "typescript",
  py: "python", rb: "ruby", rs: "rust", html: "xml", svg: "xml", yml: "yaml", md: "markdown", kt: "kotlin", golang: "go",
}));
/** Longer code (characters) stays plain: highlighting would stop the page for a moment. */
const LONGEST = 50_000;

const ENTITIES: Readonly<Record<string, string>> = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#x27;": "'" };

let core: Promise<HLJSApi> | undefined;

/** The code in colour; undefined for languages that nobody knows, very long code, and where the colours cannot be fetched. */
export async function highlighted(text: string, language: string): Promise<DocumentFragment | undefined> {
  const name = ALIASES.get(language.toLowerCase()) ?? language.toLowerCase();
  const load = Object.hasOwn(LANGUAGES, name) ? LANGUAGES[name] : undefined;
  if (load === undefined || text.length > LONGEST) return undefined;
  try {
    core ??= import("highlight.js/lib/core").then((one) => one.default);
    const api = await core;
    if (!api.getLanguage(name)) api.registerLanguage(name, (await load()).default);
    return drawn(api.highlight(text, { language: name }).value);
  } catch {
    core = undefined; // another version was deployed meanwhile: its files have other names
    return undefined;
  }
}

/** What hljs writes, as elements: spans with a class, and text. Nothing here is parsed as HTML. */
function drawn(html: string): DocumentFragment {
  const whole = document.createDocumentFragment();
  const open: (DocumentFragment | HTMLElement)[] = [whole];
  for (const [, name, close, text] of html.matchAll(/<span class="([^"]*)">|(<\/span>)|([^<]+)/g)) {
    const inner = open.at(-1) ?? whole;
    if (name !== undefined) {
      const span = document.createElement("span");
      span.className = name;
      inner.append(span);
      open.push(span);
    } else if (close !== undefined) open.pop();
    else inner.append((text ?? "").replace(/&(?:amp|lt|gt|quot|#x27);/g, (entity) => ENTITIES[entity] ?? entity));
  }
  return whole;
}
