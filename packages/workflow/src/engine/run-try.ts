import type { Json } from "@longhaul/core";
import type { CompiledNode } from "../definition/compiled-workflow.ts";
import { NodeFailure } from "../kinds/kind.ts";
import type { TaskHooks } from "./task-run.ts";

/** Thrown inside a run when it has ended otherwise, so that what still runs goes away quietly. */
export class Stopped extends Error {
  override readonly name = "Stopped";
}

/**
 * One try of a node within its time. Settles as soon as the time is up or `stop` aborts, whether the kind listens to its signal or not.
 * Rejects with what the kind throws, with NodeFailure `node_timeout`, or with Stopped.
 */
export async function runTry(
  node: CompiledNode,
  path: string,
  input: Json,
  key: string,
  stop: AbortSignal,
  hooks: TaskHooks,
): Promise<Json> {
  if (stop.aborted) throw new Stopped();
  const call = new AbortController();
  const timer = new AbortController();
  let end: (why: Error) => void = () => undefined;
  const ended = new Promise<never>((_resolve, reject) => {
    end = (why) => {
      call.abort(why);
      reject(why);
    };
  });
  const onStop = () => end(new Stopped());
  stop.addEventListener("abort", onStop, { once: true });
  const { timeoutMs } = node;
  if (Number.isFinite(timeoutMs)) {
    hooks.sleep(timeoutMs, timer.signal).then(
      () =>
        timer.signal.aborted ||
        end(new NodeFailure("node_timeout", `the node took longer than ${timeoutMs} ms`, { retryable: true })),
      () => undefined,
    );
  }
  try {
    const context = {
      input,
      signal: call.signal,
      outbound: hooks.outbound,
      operationKey: key,
      timeoutMs,
      now: hooks.now,
      progress: (delta: Json) => hooks.progress(path, delta),
    };
    // The kind's own end may come after ours; its late failure has nobody to tell.
    const result = Promise.resolve(node.kind.run(context));
    return await Promise.race([result, ended]);
  } finally {
    stop.removeEventListener("abort", onStop);
    timer.abort();
    ended.catch(() => undefined);
  }
}
