/** The shapes of the wire, by the names that this client uses. All of them come from the platform's OpenAPI document. */
export type {
  AcceptedQuestion, ChatBody as Chat, ChatList, GenerationBody as Generation, KeyBody as ApiKey, KeyList as ApiKeyList, Me as User,
  MessageBody as Message, ModelBody as Model, ModelList, Options, ProblemDetails, SecretKey as SecretApiKey, Timings, TokenPair as Tokens,
  Usage, WholeChat,
} from "./openapi.js";
import type { AskBody, GenerationStreamEvent, MakeKey } from "./openapi.js";

/** One event of a generation's stream: `event` says which, `data` is its content, `id` resumes after it. */
export type StreamEvent = GenerationStreamEvent;

/** A question. No `chat_id`: a new chat. No `parent_id`: it answers the newest message of the chat. */
export type Question = Partial<AskBody> & Pick<AskBody, "model" | "content"> & { readonly chat_id?: string };

/** An API key to be made; without `scopes` it may do whatever keys may. */
export type NewApiKey = Partial<MakeKey> & Pick<MakeKey, "name">;

/** The names of the events that end a stream. */
export const TERMINAL = ["completed", "cancelled", "failed"] as const;

/** Whether nothing follows this event. */
export function isTerminal(event: StreamEvent): boolean {
  return (TERMINAL as readonly string[]).includes(event.event);
}
