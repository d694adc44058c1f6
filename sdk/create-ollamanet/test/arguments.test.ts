import assert from "node:assert/strict";
import { test } from "node:test";
import { parse, PLATFORM } from "../src/arguments.js";
import { managerOf } from "../src/manager.js";
import { Refusal } from "../src/refusal.js";

const refused = (argv: string[], said: RegExp, env = {}) =>
  assert.throws(() => parse(argv, env), (error: unknown) => error instanceof Refusal && said.test(error.message));

test("nothing typed leaves everything to be asked for", () => {
  assert.deepEqual(parse([], {}), { folder: undefined, template: undefined, platform: PLATFORM, install: true, show: undefined });
});

test("everything can be typed", () => {
  const argv = ["a/my-app", "--template", "next", "--platform=https://chat.example.org/net/", "--no-install"];
  assert.deepEqual(parse(argv, {}), {
    folder: "a/my-app",
    template: "next",
    platform: "https://chat.example.org/net",
    install: false,
    show: undefined,
  });
});

test("options that npm kept for itself are missed, not ignored", () => {
  refused(["my-app", "node"], /One folder, not 2 \(my-app, node\).*my-app -- --template node/);
  refused(["my-app"], /--template did not arrive.* -- --template node/, { npm_config_template: "true" });
  refused(["my-app"], /--install did not arrive/, { npm_config_install: "" });
});

test("help and version go before everything else", () => {
  assert.equal(parse(["--help", "a", "b"], {}).show, "help");
  assert.equal(parse(["-v"], { npm_config_template: "node" }).show, "version");
});

test("unknown words are refused in one line", () => {
  refused(["--colour"], /^Unknown option '--colour'.*--help$/);
  refused(["--template"], /^Option '-t, --template <value>' argument missing.*--help$/);
  for (const name of ["vue", "", "constructor", "../node"]) refused(["--template", name], /There is no template .*: react, node, next\.$/);
});

test("a platform is an address that a shell and a settings file can hold", () => {
  assert.equal(parse(["--platform", "http://[::1]:9000"], {}).platform, "http://[::1]:9000");
  const wrong = ["", "127.0.0.1:8080", "ftp://a", "http://u:p@a", "http://a/?b", "http://a/#b", "http://a/$(id)", "http://a/;b", "http://a/'b"];
  for (const url of wrong) refused(["--platform", url], /is no address of a platform/);
});

test("whoever started it installs", () => {
  assert.equal(managerOf("pnpm/10.2.0 npm/? node/v20.20.2 linux x64"), "pnpm");
  assert.equal(managerOf("yarn/1.22.22 npm/? node/v20 linux x64"), "yarn");
  assert.equal(managerOf("bun/1.2.0"), "bun");
  assert.equal(managerOf("npm/11.19.1 node/v20.20.2 linux x64 workspaces/false"), "npm");
  for (const odd of [undefined, "", "rm -rf/1"]) assert.equal(managerOf(odd), "npm");
});
