export { Auth, Chats, Generations, Keys, Models, OllamaNet, type AskOptions, type PageOptions } from "./client.js";
export { ConnectionError, GenerationError, OllamaNetError, ProblemError } from "./errors.js";
export type { Options as ClientOptions } from "./http.js";
export type { OnRetry, Patience } from "./patience.js";
export { Reply, type Answer, type FollowOptions } from "./reply.js";
export type { SessionOptions } from "./session.js";
export * from "./types.js";
