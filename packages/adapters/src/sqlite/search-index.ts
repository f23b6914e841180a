import { rmSync } from "node:fs";
import { type Connection, numberAt, type SqlValue, textAt } from "./connection.ts";

/** The words of tasks, indexed behind the back of whoever writes tasks. */
export interface SearchIndex {
  /** Indexes at most `limit` tasks that have words; how many it did. */
  advance(limit: number): number;
  /** Forgets the words of tasks that are gone. What is not told because the process died is forgotten at the next start. */
  remove(seqs: readonly number[]): void;
}

/**
 * Attaches the search index to a connection as `search`. It is a database of its own, because SQLite lets one connection write
 * to a file at a time, and the tasks' writer must never wait for words. Made from the tasks alone: progress is kept with the
 * index, and a file that belongs to other data, or is older than this form, is filled anew.
 */
export function attachSearchIndex(db: Connection, file: string): SearchIndex {
  try {
    attach(db, file);
  } catch (damage) {
    // Nothing is lost with it: the words are in the tasks.
    if (!isDamage(damage)) throw damage;
    if (db.inTransaction()) db.exec("ROLLBACK");
    // A file that is no database at all was not even attached.
    if (db.prepare("SELECT 1 FROM pragma_database_list WHERE name = 'search'").get([])) db.exec("DETACH search");
    for (const end of ["", "-wal", "-shm"]) rmSync(`${file}${end}`, { force: true });
    attach(db, file);
  }

  const progress = db.prepare("SELECT seq FROM search.progress");
  const next = db.prepare(searchSql.next);
  const add = db.prepare("INSERT INTO search.words (rowid, text) VALUES (?, ?)");
  const move = db.prepare("UPDATE search.progress SET seq = ?");
  const drop = db.prepare("DELETE FROM search.words WHERE rowid = ?");

  function together(work: () => void): void {
    db.exec("BEGIN");
    try {
      work();
      db.exec("COMMIT");
    } catch (error) {
      if (db.inTransaction()) db.exec("ROLLBACK");
      throw error;
    }
  }

  return {
    advance: (limit) => {
      const rows = next.all([numberAt(progress.get([]) ?? [], 0), limit]);
      const last: SqlValue | undefined = rows.at(-1)?.[0];
      if (last === undefined) return 0;
      together(() => {
        for (const row of rows) add.run(row);
        move.run([last]);
      });
      return rows.length;
    },
    remove: (seqs) =>
      together(() => {
        for (const seq of seqs) drop.run([seq]);
      }),
  };
}

function isDamage(error: unknown): boolean {
  return (
    error instanceof Error &&
    "code" in error &&
    (error.code === "SQLITE_NOTADB" || String(error.code).startsWith("SQLITE_CORRUPT"))
  );
}

/** Attaches the file and makes sure that it belongs to these tasks. */
function attach(db: Connection, file: string): void {
  db.prepare("ATTACH ? AS search").run([file]);
  if (file !== ":memory:") db.exec("PRAGMA search.journal_mode = WAL");
  db.exec("PRAGMA search.synchronous = NORMAL");
  db.exec("PRAGMA search.cache_size = -4096");

  db.exec("BEGIN IMMEDIATE");
  db.exec("CREATE TABLE IF NOT EXISTS search.progress (uid TEXT NOT NULL, form INTEGER NOT NULL, seq INTEGER NOT NULL)");
  const uid = textAt(db.prepare("SELECT uid FROM main.identity").get([]) ?? [], 0);
  const kept = db.prepare("SELECT seq FROM search.progress WHERE uid = ? AND form = ?").get([uid, form]);
  if (!kept) {
    db.exec("DROP TABLE IF EXISTS search.words");
    db.exec("DELETE FROM search.progress");
    // Neither the text nor the places of words are kept: only which task has which word is ever asked.
    db.exec("CREATE VIRTUAL TABLE search.words USING fts5(text, content='', contentless_delete=1, detail=none)");
    db.prepare("INSERT INTO search.progress VALUES (?, ?, 0)").run([uid, form]);
  }
  // Tasks older than the oldest there is were removed, and perhaps nobody said so here.
  const oldest = numberAt(db.prepare("SELECT coalesce(min(seq), 9007199254740991) FROM main.tasks").get([]) ?? [], 0);
  db.prepare("DELETE FROM search.words WHERE rowid < ?").run([oldest]);
  db.exec("COMMIT");
}

export const searchSql = {
  next:
    "SELECT seq, coalesce(words, substr(input, 1, 1024)) FROM main.bodies INDEXED BY bodies_words " +
    "WHERE (words IS NULL OR words <> '') AND seq > ? ORDER BY seq LIMIT ?",
} as const;

/** Raised whenever the table above changes. */
const form = 1;
