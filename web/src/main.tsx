import { render } from "preact";
import { App } from "./app";
import "./page.css";

const root = document.getElementById("app")!;
render(<App first={root.dataset.first === "yes"} />, root);
