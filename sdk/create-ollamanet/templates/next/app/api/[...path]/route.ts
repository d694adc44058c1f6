import { noPlatform, settings } from "../../platform";

const OPEN = /^\/api\/(chats|generations|models)(\/|$)/;
const ASKED = ["accept", "content-type", "idempotency-key", "last-event-id"];
const ANSWERED = ["content-type", "retry-after", "retry-after-ms", "x-request-id"];

/** What the page asks goes to the platform with this app's key, and the answer streams through. */
async function pass(request: Request): Promise<Response> {
  const { pathname, search } = new URL(request.url);
  if (!OPEN.test(pathname)) return problem(404, "not_found", "This app passes on chats, generations and models only.");
  const { url, apiKey } = settings();
  const headers = new Headers({ Authorization: `Bearer ${apiKey}` });
  for (const name of ASKED) if (request.headers.has(name)) headers.set(name, request.headers.get(name)!);
  const init = { method: request.method, headers, body: request.body, duplex: "half", signal: request.signal, cache: "no-store" } as const;
  const answer = await fetch(url + pathname + search, init).catch(() => undefined);
  if (answer === undefined) return problem(502, "no_platform", noPlatform());
  const told = new Headers({ "Cache-Control": "no-store, no-transform" }); // compressing would hold the stream back
  for (const name of ANSWERED) if (answer.headers.has(name)) told.set(name, answer.headers.get(name)!);
  return new Response(answer.body, { status: answer.status, headers: told });
}

function problem(status: number, code: string, detail: string): Response {
  return Response.json({ status, code, detail }, { status, headers: { "Content-Type": "application/problem+json" } });
}

export { pass as DELETE, pass as GET, pass as PATCH, pass as POST };
