import { Worker } from "node:worker_threads";

/** A thread of this folder does one thing at a time and keeps little of it: a small young heap is enough, and it never shrinks. */
const resourceLimits = { maxYoungGenerationSizeMb: 8 };

/** Starts a file of this folder as a worker thread; `name` is without extension. */
export function startThread(name: string, workerData: object): Worker {
  if (!import.meta.url.endsWith(".ts"))
    return new Worker(new URL(`./${name}.js`, import.meta.url), { workerData, resourceLimits });
  // Tests and development run from the sources, which Node 20 can't load without tsx, and a worker has no tsx of its own.
  const tsx = import.meta.resolve("tsx/esm/api");
  const source = new URL(`./${name}.ts`, import.meta.url).href;
  const load = `import(${JSON.stringify(tsx)}).then((tsx) => { tsx.register(); return import(${JSON.stringify(source)}); })`;
  return new Worker(load, { workerData, resourceLimits, eval: true });
}
