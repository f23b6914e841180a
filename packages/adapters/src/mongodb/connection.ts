import { setTimeout as pause } from "node:timers/promises";
import type { LonghaulError } from "@longhaul/core";
import { type Db, type Document, MongoClient, MongoOperationTimeoutError, MongoServerError } from "mongodb";
import { longhaulError, outageOf, unavailable } from "./mongo-error.ts";

/** Every write waits for this: stored by a majority, in the journal. */
export const durable = { w: "majority", j: true } as const;

/** One database command, carried out by `attempt` of `Mongo`. */
export interface Commands {
  command(command: Document, budgetMs?: number): Promise<Document>;
}

/** A database and the way every operation on it is carried out. */
export interface Mongo extends Commands {
  readonly db: Db;
  readonly client: MongoClient;
  /**
   * Runs `operation`, once more and again after a lost connection or an election, until its time is used up; so an operation must be
   * harmless when repeated. Rejects with LonghaulError only: `unavailable` when nothing is known of the operation, else `internal`.
   */
  attempt<T>(operation: () => Promise<T>, budgetMs?: number): Promise<T>;
  /** Ends the connections; every later operation rejects with `unavailable`. */
  close(): Promise<void>;
}

export interface ConnectionOptions {
  /** `mongodb://` or `mongodb+srv://` URL; what this adapter sets itself (timeouts, pool, write concern) wins over options in it. */
  readonly url: string;
  /** Name of the database; without it the one in the URL, else `longhaul`. */
  readonly database?: string;
  /** The longest that an operation may take, waiting for a connection and repeats included; default 4,000. */
  readonly budgetMs?: number;
  readonly maxPoolSize?: number;
}

/** Connects lazily: the first operation finds out whether the database is there. */
export function connectMongo({ url, database, budgetMs: wholeBudgetMs = 4_000, maxPoolSize = 16 }: ConnectionOptions): Mongo {
  const client = new MongoClient(url, {
    appName: "longhaul",
    maxPoolSize,
    minPoolSize: 1,
    compressors: ["none"],
    ignoreUndefined: true,
    // The driver's own repeats know nothing of writeIds; `attempt` repeats, and reads back what it can't know.
    retryWrites: false,
    retryReads: false,
    writeConcern: { w: durable.w, journal: durable.j },
    readPreference: "primary",
    // A silent host is noticed by its missing heartbeat after about this long; a refusing one at once.
    connectTimeoutMS: 3_000,
    heartbeatFrequencyMS: 3_000,
    serverSelectionTimeoutMS: wholeBudgetMs,
    waitQueueTimeoutMS: wholeBudgetMs,
    // Only ends what `attempt` gave up waiting for.
    socketTimeoutMS: Math.max(10_000, 2 * wholeBudgetMs),
  });
  const named = database ?? databaseIn(url) ?? "longhaul";
  const db = client.db(named);

  let closed = false;

  async function attempt<T>(operation: () => Promise<T>, budgetMs = wholeBudgetMs): Promise<T> {
    const end = performance.now() + budgetMs;
    for (let failures = 1; ; failures++) {
      // Otherwise the driver would connect anew.
      if (closed) throw unavailable(new Error("this store was closed"));
      try {
        return await withinTime(operation(), end - performance.now());
      } catch (error) {
        const pauseMs = Math.min(50 * 2 ** failures, 500);
        if (outageOf(error) !== "again" || performance.now() + pauseMs >= end) throw longhaulError(error);
        await pause(pauseMs);
      }
    }
  }

  return {
    db,
    client,
    attempt,
    command: (command, budgetMs) =>
      attempt(async () => {
        const reply: Document = await db.command(command, { ignoreUndefined: true });
        // The primary has it, but a majority did not confirm: nothing is known of what will stay.
        const doubt: Document | undefined = reply["writeConcernError"];
        if (doubt)
          throw new MongoServerError({ ...doubt, code: outageCode(doubt), message: `write concern: ${doubt["errmsg"]}` });
        return reply;
      }, budgetMs),
    close: async () => {
      closed = true;
      await client.close();
    },
  };
}

/** The driver has no time limit for an operation as a whole; its own limits end later what is given up here. */
async function withinTime<T>(operation: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new MongoOperationTimeoutError(`no answer within ${Math.round(ms)} ms`)), ms);
  });
  try {
    return await Promise.race([operation, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A failed write concern is an outage whatever its code. */
function outageCode(doubt: Document): number {
  const error = new MongoServerError({ message: "", code: doubt["code"] });
  return outageOf(error) === "none" ? 64 : doubt["code"];
}

function databaseIn(url: string): string | undefined {
  const path = /^mongodb(?:\+srv)?:\/\/[^/]+\/([^?]+)/.exec(url)?.[1];
  return path === undefined || path === "" ? undefined : decodeURIComponent(path);
}

/** Fails of single items are values, so that one bad item does not take its group with it. */
export type Fallible<T> = T | LonghaulError;
