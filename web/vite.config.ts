import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import preact from "@preact/preset-vite";
import { defineConfig, type Plugin } from "vite";

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Each script and style once more, compressed: the edge serves it so. */
const zipped: Plugin = {
  name: "zipped",
  apply: "build",
  async writeBundle({ dir = "" }, bundle) {
    for (const file of Object.keys(bundle).filter((one) => /\.(js|css)$/.test(one))) {
      const path = join(dir, file);
      await writeFile(`${path}.gz`, gzipSync(await readFile(path), { level: 9 }));
    }
  },
};

/** Built into the edge's own package, which serves it; `npm run dev` asks a platform that runs beside it. */
export default defineConfig({
  plugins: [preact(), zipped],
  resolve: { alias: { ollamanet: at("../sdk/typescript/src/index.ts") } },
  build: {
    outDir: at("../api/pages/built"),
    emptyOutDir: true,
    assetsDir: "assets/web",
    assetsInlineLimit: 0,
    sourcemap: false,
    rolldownOptions: {
      output: {
        chunkFileNames: ({ facadeModuleId }) =>
          `assets/web/${facadeModuleId?.match(/highlight\.js.+languages/) ? "language-" : ""}[name]-[hash].js`,
      },
    },
  },
  server: { proxy: { "/api": process.env.OLLAMANET_URL ?? "http://127.0.0.1:8080" } },
});
