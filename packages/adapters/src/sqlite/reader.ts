import type { Worker } from "node:worker_threads";
import { LonghaulError } from "@longhaul/core";
import type { Connection, Query, Row, SqlValue } from "./connection.ts";
import type { ReaderAnswer, ReaderMessage } from "./reader-messages.ts";
import { attachSearchIndex } from "./search-index.ts";
import { startThread } from "./start-thread.ts";
import { asStoreError } from "./store-error.ts";

/** Reads that may take long, away from the event loop where there is a file. */
export interface Reader {
  /** All rows of a statement; `search` says that it looks into the search index, which is brought up to date first. */
  rows(sql: string, values: readonly SqlValue[], search?: boolean): Promise<readonly Row[]>;
  /** Says that so much was written: log and index are looked after soon. */
  wrote(bytes: number): void;
  /** Says that the task with this `seq` is gone: its words go soon. */
  removed(seq: number): void;
  close(): Promise<void>;
}

/** The longest that words wait to be indexed, in ms. */
const tendMs = 250;
/**
 * How much is written (as callers count it, about a third of what reaches the log) between two checkpoints of the worker. Often
 * enough that little is left when the log reaches the length at which the writer itself must stop and copy the rest.
 */
const checkpointBytes = 1_048_576;

/** Reads on the connection that also writes: for ":memory:", which no other connection can see. */
export function inlineReader(db: Connection): Reader {
  const index = attachSearchIndex(db, ":memory:");
  const prepared = new Map<string, Query>();
  return {
    rows: async (sql, values, search = false) => {
      try {
        if (search) while (index.advance(500) > 0);
        const query = prepared.get(sql) ?? db.prepare(sql);
        if (prepared.size < 64) prepared.set(sql, query);
        return query.all(values);
      } catch (error) {
        throw asStoreError(error);
      }
    },
    wrote: () => {},
    removed: (seq) => index.remove([seq]),
    close: async () => {},
  };
}

interface Pending {
  readonly resolve: (rows: readonly Row[]) => void;
  readonly reject: (why: LonghaulError) => void;
}

/** Reads in a worker thread with a connection of its own; the worker also checkpoints the log and indexes words. */
export function threadReader(file: string, busyTimeoutMs: number): Reader {
  const pending = new Map<number, Pending>();
  let worker: Worker | undefined;
  let asked = 0;
  let closed = false;
  let bytes = 0;
  let gone: number[] = [];
  let timer: NodeJS.Timeout | undefined;

  function start(): Worker {
    const fresh = startThread("reader-worker", { file, busyTimeoutMs });
    const lost = (cause: unknown): void => {
      if (worker !== fresh) return;
      worker = undefined;
      const why = new LonghaulError("unavailable", "The reader of the database stopped.", { cause, retryAfterMs: 1_000 });
      for (const one of pending.values()) one.reject(why);
      pending.clear();
    };
    fresh.on("message", (answer: ReaderAnswer) => {
      const one = pending.get(answer.id);
      if (!one) return;
      pending.delete(answer.id);
      if (pending.size === 0) fresh.unref();
      if (answer.rows) one.resolve(answer.rows);
      else one.reject(asStoreError(Object.assign(new Error(answer.message), { code: answer.code })));
    });
    fresh.on("error", lost);
    fresh.on("exit", lost);
    // It keeps the process up only while somebody waits for an answer.
    fresh.unref();
    return fresh;
  }

  function send(message: ReaderMessage): Worker {
    worker ??= start();
    worker.postMessage(message);
    return worker;
  }

  function tellRemoved(): void {
    if (gone.length > 0) send({ kind: "removed", seqs: gone });
    gone = [];
  }

  function tend(): void {
    clearTimeout(timer);
    timer = undefined;
    const checkpoint = bytes >= checkpointBytes;
    if (checkpoint) bytes = 0;
    tellRemoved();
    send({ kind: "tend", checkpoint });
  }

  return {
    rows: (sql, values, search = false) =>
      new Promise((resolve, reject) => {
        if (closed) return reject(new LonghaulError("unavailable", "The database is closed."));
        const id = ++asked;
        pending.set(id, { resolve, reject });
        send({ kind: "rows", id, sql, values, search }).ref();
      }),
    wrote: (more) => {
      bytes += more;
      if (closed) return;
      if (bytes >= checkpointBytes) return tend();
      timer ??= setTimeout(tend, tendMs).unref();
    },
    removed: (seq) => {
      gone.push(seq);
      if (!closed) timer ??= setTimeout(tend, tendMs).unref();
    },
    close: async () => {
      closed = true;
      clearTimeout(timer);
      const last = worker;
      if (!last) return;
      // Not terminate(): its connection must be closed in order.
      const ended = new Promise((resolve) => last.once("exit", resolve));
      tellRemoved();
      send({ kind: "close" }).ref();
      await ended;
    },
  };
}
