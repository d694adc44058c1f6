import { createInterface } from "node:readline";
import { model, net, platformSays } from "./platform.js";

const typed = process.argv.slice(2).join(" ");
const questions = typed ? [typed] : createInterface({ input: process.stdin });
if (!typed) console.error(`Ask ${model}; Ctrl-D ends it.`);

let chat = {}; // the next question goes on in the same chat
for await (const content of questions) {
  const reply = net.chats.stream({ model, content, ...chat }, { onRetry: platformSays });
  for await (const event of reply) {
    if (event.event === "token") process.stdout.write(event.data.text);
    if (event.event === "restarted") process.stdout.write("\n[it begins again]\n");
    if (event.event === "failed") throw new Error(event.data.message);
  }
  process.stdout.write("\n");
  chat = { chat_id: reply.chatId };
}
