import react from "@vitejs/plugin-react";
import type { ServerResponse } from "node:http";
import { defineConfig, loadEnv, type ProxyOptions } from "vite";

export default defineConfig(({ mode }) => {
  const env = loadEnv(mode, process.cwd(), "OLLAMANET_");
  const proxy = { "^/api/(chats|generations|models)(/|\\?|$)": platform(env.OLLAMANET_URL || "{{platform}}", env.OLLAMANET_API_KEY) };
  return {
    plugins: [react()],
    define: { MODEL: JSON.stringify(env.OLLAMANET_MODEL ?? "") },
    server: { proxy },
    preview: { proxy },
  };
});

/** What the page asks goes to the platform with this app's key, which never reaches a browser. */
function platform(target: string, key: string | undefined): ProxyOptions {
  return {
    target,
    changeOrigin: true,
    headers: key ? { Authorization: `Bearer ${key}` } : {},
    configure(proxy) {
      proxy.on("error", (_error, _request, answer) => {
        if (!("writeHead" in answer) || answer.headersSent) return void answer.destroy();
        const detail = `No OllamaNet answers at ${target}. Start one (ollamanet up), or write another address to OLLAMANET_URL in .env.`;
        (answer as ServerResponse).writeHead(502, { "Content-Type": "application/problem+json" });
        answer.end(JSON.stringify({ status: 502, code: "no_platform", title: "Bad Gateway", detail }));
      });
    },
  };
}
