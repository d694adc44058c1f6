import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, realpath, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

const COMMAND = fileURLToPath(new URL("../../dist/index.js", import.meta.url));
let home: string;

before(async () => {
  home = await realpath(await mkdtemp(join(tmpdir(), "making-")));
});
after(() => rm(home, { recursive: true }));

async function run(args: readonly string[], env: Record<string, string> = {}): Promise<{ code: number; out: string; errors: string }> {
  const own = { PATH: process.env.PATH ?? "", ...env };
  const child = spawn(process.execPath, [COMMAND, ...args], { cwd: home, env: own, stdio: ["ignore", "pipe", "pipe"] });
  let [out, errors] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
  const [code] = (await once(child, "close")) as [number];
  return { code, out, errors };
}

for (const template of ["react", "node", "next"]) {
  test(`${template}: copied, named, told where the platform is, without a network`, async () => {
    const { code, out, errors } = await run([`my-${template}`, "--template", template, "--platform", "http://127.0.0.1:9123", "--no-install"]);
    assert.equal(code, 0, errors);
    const folder = join(home, `my-${template}`);
    const files = await readdir(folder, { recursive: true });
    assert.ok(files.includes(".gitignore") && !files.includes("_gitignore"));
    assert.equal((JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as { name: string }).name, `my-${template}`);
    assert.equal(await readFile(join(folder, ".env"), "utf8"), "OLLAMANET_URL=http://127.0.0.1:9123\n");
    assert.equal((await stat(join(folder, ".env"))).mode & 0o077, 0);
    assert.match(await readFile(join(folder, ".gitignore"), "utf8"), /^\.env$/m);
    for (const file of files) {
      const text = await readFile(join(folder, file), "utf8").catch(() => "");
      assert.doesNotMatch(text, /\{\{(name|platform|manager)\}\}/, file);
    }
    assert.match(out, new RegExp(`cd my-${template}\n  npm install\n  echo "OLLAMANET_API_KEY=\\$\\(OLLAMANET_URL=http://127.0.0.1:9123 ollamanet api-keys create my-${template}\\)" >> .env\n  npm `));
  });
}

test("who started it is who is told to install and start", async () => {
  const { out } = await run(["by-pnpm", "--template", "node", "--no-install"], { npm_config_user_agent: "pnpm/10.0.0 npm/? node/v20 linux x64" });
  assert.match(out, /pnpm install\n.*\n {2}pnpm start\n/);
  assert.match(await readFile(join(home, "by-pnpm/README.md"), "utf8"), /^pnpm install$/m);
});

test("nothing that is there is touched", async () => {
  await mkdir(join(home, "used"));
  await writeFile(join(home, "used/thesis.txt"), "mine");
  const { code, errors } = await run(["used", "--no-install"]);
  assert.equal(code, 2);
  assert.match(errors, /^create-ollamanet: used is not empty \(thesis\.txt\): [^\n]*\n$/);
  assert.deepEqual(await readdir(join(home, "used")), ["thesis.txt"]);
});

test("where nobody can be asked, a missing folder is a sentence and a missing template is react", async () => {
  assert.deepEqual(await run([]), { code: 2, out: "", errors: "create-ollamanet: Name a folder for it: npm create ollamanet my-app\n" });
  const { out } = await run(["silent", "--no-install"]);
  assert.match(out, /^React \+ Vite: silent is written\.\n/);
});

test("packages that could not be installed are said, and what is left to type", async () => {
  await mkdir(join(home, "bin"));
  await writeFile(join(home, "bin/npm"), "#!/bin/sh\nexit 7\n", { mode: 0o755 });
  const failed = await run(["failed", "--template", "node"], { PATH: `${join(home, "bin")}:/usr/bin:/bin` });
  assert.equal(failed.code, 1);
  assert.match(failed.errors, /The packages were not installed: npm gave up/);
  assert.match(failed.out, /cd failed\n {2}npm install\n/);
  const missing = await run(["missing", "--template", "node"], { PATH: home });
  assert.deepEqual([missing.code, /npm could not be started/.test(missing.errors)], [1, true]);
});

test("its version is its package's; its help names every template", async () => {
  assert.deepEqual(await run(["--version"]), { code: 0, out: "0.1.0\n", errors: "" });
  assert.match((await run(["--help"])).out, /--template react\|node\|next/);
});
