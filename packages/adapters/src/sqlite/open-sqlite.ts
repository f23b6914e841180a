import type { CatalogStore, DeliveryStore, JobStore, LeaseStore, PayloadStore, ResourceStore, TaskStore } from "@longhaul/core";
import { LonghaulError } from "@longhaul/core";
import { sqliteCatalogStore } from "./catalog-store.ts";
import { commitGroup } from "./commit-group.ts";
import { openConnection } from "./connection.ts";
import { sqliteDeliveryStore } from "./delivery-store.ts";
import { sqliteJobStore } from "./job-store.ts";
import { sqliteLeaseStore } from "./lease-store.ts";
import { lockFile } from "./lock-file.ts";
import { migrate } from "./migrations.ts";
import { sqlitePayloadStore } from "./payload-store.ts";
import { procedures } from "./procedures.ts";
import { inlineReader, type Reader, threadReader } from "./reader.ts";
import { sqliteResourceStore } from "./resource-store.ts";
import { asStoreError } from "./store-error.ts";
import { taskCache } from "./task-cache.ts";
import { bytesOf, sqliteTaskStore } from "./task-store.ts";
import { threadCommitter } from "./thread-committer.ts";
import { inlineCommitter, sqliteWriter } from "./writer.ts";

export interface SqliteOptions {
  /** Path of the database file, or ":memory:". Beside it lie `-wal`, `-shm`, `.lock` and `.search` (which is made from it). */
  readonly file: string;
  /** How long a statement waits for another program that holds the database; default 1,000. */
  readonly busyTimeoutMs?: number;
  /** Bound of the writer's page cache, in KiB; default 8,192. */
  readonly cacheKib?: number;
  /** How many tasks, written or read last, are kept in memory (at most 4 MiB of them); default 512. */
  readonly cachedTasks?: number;
}

/** All stores on one database. */
export interface SqliteStores {
  readonly tasks: TaskStore;
  readonly payloads: PayloadStore;
  readonly catalog: CatalogStore;
  readonly leases: LeaseStore;
  readonly deliveries: DeliveryStore;
  readonly resources: ResourceStore;
  readonly jobs: JobStore;
  /** Finishes what is under way, refuses what comes later with `unavailable`, and gives the file free. */
  close(): Promise<void>;
}

// Small, because whatever stays this long is moved to the old heap, which costs more than to read it again.
const cachedBytes = 4 * 1_048_576;

/**
 * Opens (and where needed makes or migrates) a database. Throws LonghaulError: `unavailable` when another process uses the file or it
 * can't be opened, `precondition_failed` when a newer version wrote it.
 */
export function openSqlite(options: SqliteOptions): SqliteStores {
  const { file, busyTimeoutMs = 1_000, cacheKib = 8_192, cachedTasks = 512 } = options;
  const inMemory = file === ":memory:";
  const unlock = inMemory ? () => {} : lockFile(file);
  try {
    // Where there is a file it is read here and written in a thread, which has the larger cache.
    const db = openConnection(file, busyTimeoutMs, inMemory ? cacheKib : Math.min(cacheKib, 2_048));
    try {
      migrate(db, file);
      const reader: Reader = inMemory ? inlineReader(db) : threadReader(file, busyTimeoutMs);
      const committer = inMemory
        ? inlineCommitter(commitGroup(db, procedures(db)))
        : threadCommitter(file, busyTimeoutMs, cacheKib);
      const writer = sqliteWriter(committer, (bytes) => reader.wrote(bytes));
      const cache = taskCache(cachedTasks, cachedBytes, (stored) => bytesOf(stored.task));
      return {
        tasks: sqliteTaskStore(db, writer, reader, cache),
        payloads: sqlitePayloadStore(db, writer),
        catalog: sqliteCatalogStore(db, writer),
        leases: sqliteLeaseStore(db, writer),
        deliveries: sqliteDeliveryStore(db, writer),
        resources: sqliteResourceStore(db, writer),
        jobs: sqliteJobStore(db, writer),
        close: once(async () => {
          await writer.close();
          await reader.close();
          // The driver keeps the file open while statements are reachable, so the log is emptied here and not by closing.
          try {
            db.prepare("PRAGMA wal_checkpoint(TRUNCATE)").all([]);
          } finally {
            db.close();
            unlock();
          }
        }),
      };
    } catch (error) {
      db.close();
      throw error;
    }
  } catch (error) {
    unlock();
    if (error instanceof LonghaulError) throw error;
    const { code, message } = asStoreError(error);
    throw new LonghaulError(code, `${file} can't be opened. ${message}`, { cause: error });
  }
}

function once(run: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => {
    done ??= run();
    return done;
  };
}
