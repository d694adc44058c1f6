import { Chat } from "./chat";
import { explained, firstModel } from "./platform";

export const dynamic = "force-dynamic"; // which models there are is asked at each visit, not at the build

export default async function Page() {
  const [model, trouble] = await firstModel().then(
    (name) => [name, undefined] as const,
    (error: Error) => [undefined, explained(error)] as const,
  );
  return model === undefined ? <p role="alert">{trouble}</p> : <Chat model={model} />;
}
