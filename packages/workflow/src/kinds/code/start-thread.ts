import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { Worker, type WorkerOptions } from "node:worker_threads";

/**
 * Starts a module beside the caller as a thread. `url` names it as JavaScript, which is what a build makes of it; run from source, as tests do,
 * it is TypeScript, and a line of JavaScript registers the loader that reads it.
 */
export function startThread(url: URL, options: WorkerOptions): Worker {
  if (!import.meta.url.endsWith(".ts")) return new Worker(url, options);
  const loader = new URL("./dist/esm/api/index.mjs", pathToFileURL(createRequire(import.meta.url).resolve("tsx/package.json")))
    .href;
  const source = url.href.replace(/\.js$/, ".ts");
  const script = `import(${JSON.stringify(loader)}).then(({ register }) => { register(); return import(${JSON.stringify(source)}); })`;
  return new Worker(script, { ...options, eval: true });
}
