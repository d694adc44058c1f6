import { fileURLToPath } from "node:url";
import preact from "@preact/preset-vite";
import { defineConfig } from "vite";

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Built into the edge's own package, which serves it; `npm run dev` asks a platform that runs beside it. */
export default defineConfig({
  plugins: [preact()],
  resolve: { alias: { ollamanet: at("../sdk/typescript/src/index.ts") } },
  build: { outDir: at("../api/pages/built"), emptyOutDir: true, assetsDir: "assets/web", assetsInlineLimit: 0, sourcemap: false },
  server: { proxy: { "/api": process.env.OLLAMANET_URL ?? "http://127.0.0.1:8080" } },
});
