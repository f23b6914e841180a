import { parentPort, workerData } from "node:worker_threads";
import { openConnection, type Query } from "./connection.ts";
import type { ReaderAnswer, ReaderMessage } from "./reader-messages.ts";
import { attachSearchIndex } from "./search-index.ts";

const port = parentPort;
if (!port) throw new Error("this file runs in a worker thread");
const { file, busyTimeoutMs }: { file: string; busyTimeoutMs: number } = workerData;

const db = openConnection(file, busyTimeoutMs, 4_096);
const index = attachSearchIndex(db, `${file}.search`);
const prepared = new Map<string, Query>();
/** Tasks per step of the index: between steps, whoever asks is answered. */
const step = 200;
let indexing = false;
let closed = false;

port.on("message", (message: ReaderMessage) => {
  switch (message.kind) {
    case "rows":
      return port.postMessage(answer(message));
    case "tend":
      if (message.checkpoint) tolerate(() => db.prepare("PRAGMA main.wal_checkpoint(PASSIVE)").get([]));
      return advance();
    case "removed":
      return tolerate(() => index.remove(message.seqs));
    case "close":
      closed = true;
      db.close();
      return port.close();
  }
});

function answer({ id, sql, values, search }: Extract<ReaderMessage, { kind: "rows" }>): ReaderAnswer {
  try {
    if (search) while (index.advance(step) > 0);
    const query = prepared.get(sql) ?? db.prepare(sql);
    if (prepared.size < 64) prepared.set(sql, query);
    return { id, rows: query.all(values) };
  } catch (error) {
    const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
    return { id, message: error instanceof Error ? error.message : String(error), code };
  }
}

function advance(): void {
  if (indexing || closed) return;
  tolerate(() => {
    if (index.advance(step) < step) return;
    indexing = true;
    setImmediate(() => {
      indexing = false;
      advance();
    });
  });
}

/** Housekeeping that fails is done again with the next writes, and a search brings the index up to date itself. */
function tolerate(work: () => void): void {
  try {
    work();
  } catch {
    indexing = false;
  }
}
