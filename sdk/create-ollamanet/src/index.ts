#!/usr/bin/env node
import { main } from "./main.js";

const interactive = process.stdin.isTTY && process.stdout.isTTY && !process.env.CI;
process.exitCode = await main(process.argv.slice(2), process.env, interactive, new URL("..", import.meta.url));
