import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { done, type Server } from "./running.js";

interface Packed {
  readonly name: string;
  readonly version: string;
  readonly filename: string;
  readonly integrity: string;
  readonly shasum: string;
}

/** Packs packages as they would be published, and serves them under their names; every other name is sent on to npm's own registry. */
export async function registryOf(packages: readonly string[], folder: string, env: Readonly<Record<string, string | undefined>>): Promise<Server> {
  const upstream = (await done("npm config get registry", folder, env)).text.trim().replace(/\/+$/, "");
  const documents = new Map<string, object>();
  const tarballs = new Map<string, Buffer>();
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? "");
    const document = documents.get(path);
    const tarball = tarballs.get(path);
    if (document) response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(document));
    else if (tarball) response.writeHead(200, { "content-type": "application/octet-stream" }).end(tarball);
    else response.writeHead(302, { location: upstream + request.url }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  for (const place of packages) {
    const [packed] = JSON.parse((await done(`npm pack --json --pack-destination ${folder}`, place, env)).text) as [Packed];
    const manifest = JSON.parse(await readFile(join(place, "package.json"), "utf8")) as object;
    const { name, version, filename, integrity, shasum } = packed;
    const tarball = `/${name}/-/${filename}`;
    tarballs.set(tarball, await readFile(join(folder, filename)));
    const versions = { [version]: { ...manifest, dist: { tarball: url + tarball, integrity, shasum } } };
    documents.set(`/${name}`, { name, "dist-tags": { latest: version }, versions });
  }
  const stop = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url, stop };
}
