// `npm run bench`: installs and builds what is missing or stale, then measures. `npm run bench -- --help` lists the options.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { prepare, root, say } from "./prepare.mjs";

try {
  await prepare();
  const { main } = await import(pathToFileURL(join(root, "bench", "dist", "main.js")).href);
  await main(process.argv.slice(2), join(root, ".cache", "bench.json"));
} catch (error) {
  say(error.message);
  process.exit(1);
}
