// The TypeScript SDK as built, on Node: `node sdk_journey.mjs '<JSON: edges, email, password, text>'`.
// Says what it found as JSON lines; after "kill" it goes on while the edge that it talks to is killed.
import { ConnectionError, GenerationError, OllamaNet, ProblemError } from "ollamanet";

const { edges, email, password, text, kills } = JSON.parse(process.argv[2]);
const say = (step, found = {}) => process.stdout.write(`${JSON.stringify({ step, ...found })}\n`);
const refusal = (call) => call.then(() => null, (error) => ({ typed: error instanceof ProblemError, status: error.status, code: error.code }));

const here = new OllamaNet({ baseURL: edges[0] });
await here.auth.signUp(email, password, "Ada");
const { secret } = await here.keys.create({ name: "journey" });
const there = new OllamaNet({ baseURL: edges.at(-1), apiKey: secret });
say("in", { email: (await there.models.list()).items.length > 0 && (await here.auth.me()).email });

const left = here.chats.stream({ model: "small", content: text });
for await (const event of left) if (event.event === "token") break;
const rest = await there.generations.follow(left.generationId, { after: left.lastEventId }).answer();
say("resumed", { text: left.text + rest.text, again: (await left.answer()).text });
const next = await there.chats.stream({ model: "small", content: "And?", chat_id: left.chatId }).answer();
say("went on", { text: next.text, roles: (await here.chats.get(left.chatId)).messages.map((one) => one.role) });

for (const onAbort of ["cancel", "detach"]) {
  const stop = new AbortController();
  const reply = here.chats.stream({ model: "stall", content: `Hello, ${onAbort}?` }, { signal: stop.signal, onAbort });
  const reason = new Error("enough");
  let thrown;
  try {
    for await (const event of reply) if (event.event === "token") stop.abort(reason);
  } catch (error) {
    thrown = error;
  }
  const status = onAbort === "detach" ? (await there.generations.get(reply.generationId)).status : undefined;
  if (onAbort === "detach") await there.generations.cancel(reply.generationId);
  const end = await there.generations.follow(reply.generationId).answer().catch((error) => error);
  say(onAbort, { reason: thrown === reason, status, code: end instanceof GenerationError && end.code });
}

say("refused", await refusal(here.chats.stream({ model: "nobody", content: "Hello?" }).answer()));
say("stranger", await refusal(new OllamaNet({ baseURL: edges[0], apiKey: "on_nobody" }).auth.me()));
const cut = await here.chats.stream({ model: "cut", content: "Hello there, whoever you are?" }).answer().catch((error) => error);
say("failed", { typed: cut instanceof GenerationError, code: cut.code, partial: cut.partialText.length > 0 });
const nobody = new OllamaNet({ baseURL: "http://127.0.0.1:9", apiKey: "k", patience: { retries: 1, firstPause: 1 } });
say("lost", { typed: await nobody.models.list().catch((error) => error instanceof ConnectionError) });

if (kills) {
  const counting = there.chats.stream({ model: "paced", content: "Count as far as you may.", options: { max_tokens: 120 } });
  for await (const event of counting) if (event.event === "token" && counting.text.startsWith("0 1 2 3 ")) break;
  say("kill");
  say("survived", { text: (await counting.answer()).text });
}
await here.auth.logOut();
say("out", await refusal(here.auth.me()));
