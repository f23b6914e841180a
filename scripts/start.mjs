// `npm start`: installs and builds what is missing or stale, then runs solo in this very process, so that signals and exit code are its own.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { prepare, root, say } from "./prepare.mjs";

try {
  await prepare({ filter: "@longhaul/solo" });
} catch (error) {
  say(error.message);
  process.exit(1);
}
await import(pathToFileURL(join(root, "services", "solo", "dist", "main.js")).href);
