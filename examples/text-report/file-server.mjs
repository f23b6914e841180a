import { readdirSync, readFileSync, statSync } from "node:fs";
import { extname, join, sep } from "node:path";
import { serve } from "../shared/serve.mjs";

const textual = new Set(["", ".md", ".txt", ".rst", ".adoc"]);
const maxBytes = 256 * 1024;

/** Serves the text files that lie directly in a folder. */
export async function serveFolder(folder) {
  const names = readdirSync(folder)
    .filter((name) => !name.startsWith(".") && textual.has(extname(name)))
    .filter((name) => statSync(join(folder, name)).isFile() && statSync(join(folder, name)).size <= maxBytes)
    .sort();
  const server = await serve((req, res) => {
    const name = decodeURIComponent((req.url ?? "/").slice(1));
    // Only what was listed, so that no path leads out of the folder.
    if (!names.includes(name) || name.includes(sep)) return res.writeHead(404).end("no such document");
    res.writeHead(200, { "content-type": "text/plain; charset=utf-8" }).end(readFileSync(join(folder, name)));
  });
  return { ...server, names };
}
