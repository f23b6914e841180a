import Database from "libsql";

/** What SQLite keeps and answers. Numbers are bound as REAL; columns of INTEGER affinity turn whole ones back. */
export type SqlValue = string | number | null;

/** Columns in the order of the statement. */
export type Row = readonly SqlValue[];

/** A prepared statement. */
export interface Query {
  /** Runs a statement that answers no rows; how many rows it changed. */
  run(values: readonly SqlValue[]): number;
  get(values: readonly SqlValue[]): Row | undefined;
  all(values: readonly SqlValue[]): Row[];
}

/** One connection to a database. Every method throws the driver's errors. */
export interface Connection {
  prepare(sql: string): Query;
  exec(sql: string): void;
  inTransaction(): boolean;
  close(): void;
}

/** Pages of 8 KiB: records of 1 KiB fill them well, and one task touches fewer of them than of 4 KiB. */
const pageBytes = 8_192;

/** Opens a connection without any pragma. */
export function openRaw(file: string, busyTimeoutMs: number): Connection {
  const db = new Database(file, { timeout: busyTimeoutMs });
  return {
    prepare: (sql) => wrap(db, db.prepare(sql)),
    exec: (sql) => void db.exec(sql),
    inTransaction: () => db.inTransaction,
    close: () => void db.close(),
  };
}

/** Opens a connection as the stores need it: WAL, fsync with every commit, a bounded page cache, no mmap. */
export function openConnection(file: string, busyTimeoutMs: number, cacheKib: number): Connection {
  const db = openRaw(file, busyTimeoutMs);
  try {
    db.exec(`PRAGMA page_size = ${pageBytes}`);
    db.exec("PRAGMA journal_mode = WAL");
    db.exec("PRAGMA synchronous = FULL");
    db.exec("PRAGMA foreign_keys = ON");
    db.exec("PRAGMA mmap_size = 0");
    db.exec(`PRAGMA cache_size = -${cacheKib}`);
    // The reader checkpoints as the log grows; this is the bound for when it can't keep up.
    db.exec("PRAGMA wal_autocheckpoint = 2000");
    db.exec("PRAGMA journal_size_limit = 67108864");
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

function wrap(db: Database.Database, statement: Database.Statement): Query {
  // Rows as arrays: the driver builds them faster, and adds no field of its own to them.
  if (statement.reader) statement.raw(true);
  // The driver lets statements outlive their connection; here nothing does.
  const check = (): void => {
    if (!db.open) throw new TypeError(closedMessage);
  };
  return {
    // One array as the only argument is what the driver passes on without copying it.
    run: (values) => {
      check();
      return statement.run(values).changes;
    },
    get: (values) => {
      check();
      return rowOf(statement.get(values));
    },
    all: (values) => {
      check();
      return statement.all(values).flatMap((row) => [rowOf(row) ?? []]);
    },
  };
}

/** What the driver itself says, too. */
export const closedMessage = "The database connection is not open";

function rowOf(row: unknown): Row | undefined {
  return Array.isArray(row) ? row : undefined;
}

/** A column that holds text. */
export function textAt(row: Row, column: number): string {
  const value = row[column];
  if (typeof value !== "string") throw new TypeError(`column ${column} holds no text`);
  return value;
}

/** A column that holds a number. */
export function numberAt(row: Row, column: number): number {
  const value = row[column];
  if (typeof value !== "number") throw new TypeError(`column ${column} holds no number`);
  return value;
}
