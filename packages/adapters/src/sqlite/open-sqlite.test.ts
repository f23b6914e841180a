import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Opened,
  testCatalogStore,
  testDeliveryStore,
  testJobStore,
  testLeaseStore,
  testPayloadStore,
  testResourceStore,
  testRetention,
  testTaskStore,
} from "../contract/index.ts";
import { openSqlite, type SqliteStores } from "./open-sqlite.ts";

type Name = Exclude<keyof SqliteStores, "close">;

async function openInMemory(options: { cachedTasks?: number } = {}): Promise<Opened<SqliteStores>> {
  const stores = openSqlite({ file: ":memory:", ...options });
  return { store: stores, close: stores.close };
}

async function openInFile(): Promise<Opened<SqliteStores>> {
  const folder = await mkdtemp(join(tmpdir(), "longhaul-sqlite-"));
  const stores = openSqlite({ file: join(folder, "data.db") });
  const close = async (): Promise<void> => {
    await stores.close();
    await rm(folder, { recursive: true });
  };
  return { store: stores, close };
}

function inMemory<K extends Name>(name: K, options: { cachedTasks?: number } = {}) {
  return async (): Promise<Opened<SqliteStores[K]>> => {
    const { store, close } = await openInMemory(options);
    return { store: store[name], close };
  };
}

function inFile<K extends Name>(name: K) {
  return async (): Promise<Opened<SqliteStores[K]>> => {
    const { store, close } = await openInFile();
    return { store: store[name], close };
  };
}

testTaskStore("SQLite in memory", inMemory("tasks"));
testTaskStore("SQLite in a file", inFile("tasks"));
testTaskStore("SQLite in memory, with no task cached,", inMemory("tasks", { cachedTasks: 0 }));
testRetention("SQLite in memory", openInMemory);
testRetention("SQLite in a file", openInFile);
testPayloadStore("SQLite in memory", inMemory("payloads"));
testPayloadStore("SQLite in a file", inFile("payloads"));
testCatalogStore("SQLite in memory", inMemory("catalog"));
testCatalogStore("SQLite in a file", inFile("catalog"));
testLeaseStore("SQLite in memory", inMemory("leases"));
testLeaseStore("SQLite in a file", inFile("leases"));
testDeliveryStore("SQLite in memory", inMemory("deliveries"));
testDeliveryStore("SQLite in a file", inFile("deliveries"));
testJobStore("SQLite in memory", inMemory("jobs"));
testJobStore("SQLite in a file", inFile("jobs"));
testResourceStore("SQLite in memory", inMemory("resources"));
testResourceStore("SQLite in a file", inFile("resources"));
