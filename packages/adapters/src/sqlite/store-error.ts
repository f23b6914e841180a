import { LonghaulError } from "@longhaul/core";
import { closedMessage } from "./connection.ts";

/** What SQLite says when the world around it fails, and what to tell whoever asked. */
const outages: readonly (readonly [code: string, sentence: string])[] = [
  ["SQLITE_FULL", "The disk that holds the data is full, or the database has reached its largest size."],
  ["SQLITE_BUSY", "The database is locked by another program."],
  ["SQLITE_LOCKED", "The database is locked by another program."],
  ["SQLITE_IOERR", "The disk that holds the data can't be read or written."],
  ["SQLITE_READONLY", "The database can't be written: it or its folder is read-only."],
  ["SQLITE_CANTOPEN", "The database file can't be opened."],
  ["SQLITE_NOMEM", "There is no memory left for the database."],
  ["SQLITE_PROTOCOL", "The database is locked by another program."],
  ["SQLITE_INTERRUPT", "The database was closed while it worked."],
  ["SQLITE_CORRUPT", "The database file is damaged."],
  ["SQLITE_NOTADB", "The database file is damaged or not a database."],
];

/** True for what fails the whole database and not only the statement at hand. */
export function isOutage(error: unknown): boolean {
  return sentenceOf(error) !== undefined;
}

/** The error as the ports promise it: `unavailable` when nothing is known of the write, else `internal`; the cause is kept. */
export function asStoreError(error: unknown): LonghaulError {
  if (error instanceof LonghaulError) return error;
  const sentence = sentenceOf(error);
  if (sentence !== undefined) return new LonghaulError("unavailable", sentence, { cause: error, retryAfterMs: 1_000 });
  return new LonghaulError("internal", "The database refused a statement.", { cause: error });
}

function sentenceOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  // The driver throws a plain TypeError without a code when its connection is closed.
  if (error instanceof TypeError && error.message.includes(closedMessage)) return "The database is closed.";
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  return outages.find(([prefix]) => code.startsWith(prefix))?.[1];
}
