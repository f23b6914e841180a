import type { Worker } from "node:worker_threads";
import { LonghaulError } from "@longhaul/core";
import type { WriteOutcome } from "./commit-group.ts";
import type { Procedures } from "./procedures.ts";
import { startThread } from "./start-thread.ts";
import type { Committer } from "./writer.ts";
import type { WriterAnswer, WriterMessage } from "./writer-messages.ts";

interface Pending {
  readonly resolve: (outcomes: readonly WriteOutcome[]) => void;
  readonly reject: (why: LonghaulError) => void;
}

/**
 * Commits in a worker thread with a connection of its own, so that neither statements nor fsync hold the event loop. When the thread is
 * lost nothing is known of what it was given, which is refused with `unavailable`; the next group starts another one.
 */
export function threadCommitter(file: string, busyTimeoutMs: number, cacheKib: number): Committer<Procedures> {
  let worker: Worker | undefined;
  // Answers come in the order of the groups.
  let pending: Pending[] = [];

  function start(): Worker {
    const fresh = startThread("writer-worker", { file, busyTimeoutMs, cacheKib });
    const lost = (cause: unknown): void => {
      if (worker !== fresh) return;
      worker = undefined;
      const why = new LonghaulError("unavailable", "The writer of the database stopped.", { cause, retryAfterMs: 1_000 });
      const refused = pending;
      pending = [];
      for (const one of refused) one.reject(why);
    };
    fresh.on("message", (answer: WriterAnswer) => {
      const one = pending.shift();
      if (pending.length === 0) fresh.unref();
      one?.resolve(answer.map(outcomeOf));
    });
    fresh.on("error", lost);
    fresh.on("exit", lost);
    // It keeps the process up only while a write is under way.
    fresh.unref();
    return fresh;
  }

  function send(message: WriterMessage): Worker {
    worker ??= start();
    worker.postMessage(message);
    return worker;
  }

  return {
    commit: (calls) =>
      new Promise((resolve, reject) => {
        pending.push({ resolve, reject });
        send(calls).ref();
      }),
    maxUnderWay: 2,
    settleTurns: 1,
    close: async () => {
      const last = worker;
      if (!last) return;
      // Not terminate(): its connection must be closed in order.
      const ended = new Promise((resolve) => last.once("exit", resolve));
      send("close").ref();
      await ended;
    },
  };
}

function outcomeOf(answer: WriterAnswer[number]): WriteOutcome {
  if (answer.ok) return answer;
  return { ok: false, error: Object.assign(new Error(answer.message), { code: answer.code }) };
}
