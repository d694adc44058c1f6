import { spawn } from "node:child_process";

const MANAGERS = ["npm", "pnpm", "yarn", "bun"] as const;

export type Manager = (typeof MANAGERS)[number];

/** Who started this, by what it says of itself (`pnpm/10.2.0 npm/? node/v20.20.2 linux x64`); npm where nobody does. */
export function managerOf(userAgent: string | undefined): Manager {
  const name = userAgent?.split("/", 1)[0];
  return MANAGERS.find((one) => one === name) ?? "npm";
}

/** How an installation ended: its exit code, or the signal that ended it, or why it did not begin. */
export type Installed = { readonly code: number } | { readonly signal: string } | { readonly missing: string };

/** Installs an app's packages, in front of the person. Ctrl-C reaches the manager too; this process lives to tell what is left to do. */
export function install(manager: Manager, folder: string): Promise<Installed> {
  const quiet = manager === "npm" ? ["--no-audit", "--no-fund", "--loglevel=error"] : [];
  return new Promise((resolve) => {
    const child = spawn(manager, ["install", ...quiet], { cwd: folder, stdio: "inherit", shell: process.platform === "win32" });
    const hold = () => undefined;
    process.on("SIGINT", hold);
    const end = (how: Installed) => {
      process.off("SIGINT", hold);
      resolve(how);
    };
    child.on("error", (error) => end({ missing: error.message }));
    child.on("exit", (code, signal) => end(signal === null ? { code: code ?? 1 } : { signal }));
  });
}
