import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** What can be made, and how it is called before people. */
export const TEMPLATES = { react: "React + Vite", node: "Node script", next: "Next.js" } as const;

export type Template = keyof typeof TEMPLATES;

/** What is filled in where a template says `{{name}}`, and so on. */
export interface Values {
  readonly name: string;
  readonly platform: string;
  readonly manager: string;
}

/** `npm pack` leaves a file called .gitignore out. */
const RENAMED: Readonly<Record<string, string>> = { _gitignore: ".gitignore" };

/** The packages that a template's apps depend on. */
export async function dependencies(templates: URL, template: Template): Promise<string[]> {
  const read = JSON.parse(await readFile(new URL(`${template}/package.json`, templates), "utf8")) as {
    dependencies: Record<string, string>;
    devDependencies: Record<string, string>;
  };
  return Object.keys({ ...read.dependencies, ...read.devDependencies });
}

/** Copies a template; an existing file is never overwritten. `.env`, which git ignores, says where the platform is and waits for the key. */
export async function copy(templates: URL, template: Template, folder: string, values: Values): Promise<void> {
  await mkdir(folder, { recursive: true });
  await copyFolder(fileURLToPath(new URL(template, templates)), folder, values);
  await writeFile(join(folder, ".env"), `OLLAMANET_URL=${values.platform}\n`, { flag: "wx", mode: 0o600 });
}

async function copyFolder(from: string, to: string, values: Values): Promise<void> {
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const target = join(to, RENAMED[entry.name] ?? entry.name);
    if (entry.isDirectory()) {
      await mkdir(target);
      await copyFolder(join(from, entry.name), target, values);
    } else {
      const text = await readFile(join(from, entry.name), "utf8");
      await writeFile(target, filled(text, values), { flag: "wx" });
    }
  }
}

function filled(text: string, values: Values): string {
  return text.replace(/\{\{(name|platform|manager)\}\}/g, (_, key: keyof Values) => values[key]);
}
