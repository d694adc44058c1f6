import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Chat } from "./Chat";
import "./chat.css";
import { explained, firstModel } from "./platform";

const root = createRoot(document.getElementById("root")!);
try {
  const model = await firstModel();
  root.render(<StrictMode><Chat model={model} /></StrictMode>);
} catch (error) {
  root.render(<p role="alert">{explained(error as Error)}</p>);
}
