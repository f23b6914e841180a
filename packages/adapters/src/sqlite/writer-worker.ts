import { parentPort, workerData } from "node:worker_threads";
import { commitGroup, type WriteOutcome } from "./commit-group.ts";
import { openConnection } from "./connection.ts";
import { procedures } from "./procedures.ts";
import type { WriterAnswer, WriterMessage } from "./writer-messages.ts";

const port = parentPort;
if (!port) throw new Error("this file runs in a worker thread");
const { file, busyTimeoutMs, cacheKib }: { file: string; busyTimeoutMs: number; cacheKib: number } = workerData;

const db = openConnection(file, busyTimeoutMs, cacheKib);
const commit = commitGroup(db, procedures(db));

port.on("message", (message: WriterMessage) => {
  if (message === "close") {
    db.close();
    port.close();
    return;
  }
  port.postMessage(commit(message).map(sendable));
});

function sendable(outcome: WriteOutcome): WriterAnswer[number] {
  if (outcome.ok) return outcome;
  const { error } = outcome;
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
  return { ok: false, message: error instanceof Error ? error.message : String(error), code };
}
