import { LonghaulError } from "@longhaul/core";
import {
  MongoClientClosedError,
  MongoError,
  MongoInvalidArgumentError,
  MongoMissingDependencyError,
  MongoNetworkError,
  MongoNotConnectedError,
  MongoOperationTimeoutError,
  MongoServerError,
  MongoServerSelectionError,
  MongoTopologyClosedError,
} from "mongodb";

/** Said to callers while the database can't be reached. */
const retryAfterMs = 1_000;

/** Server codes that say "not now, or not here": elections, shutdowns, lost majorities, timeouts, overload. */
const passing = new Set([
  6, 7, 50, 64, 79, 89, 91, 100, 112, 134, 189, 202, 262, 290, 317, 358, 384, 9_001, 10_058, 10_107, 11_600, 11_602, 13_435,
  13_436,
]);

/** What an error says about the write or read that it ended. */
export type Outage =
  /** Nothing is known of it; trying the very same again may help at once. */
  | "again"
  /** Nothing is known of it, and its time is used up. */
  | "late"
  /** The server understood and refused: trying again is pointless. */
  | "none";

export function outageOf(error: unknown): Outage {
  if (error instanceof MongoOperationTimeoutError || error instanceof MongoServerSelectionError) return "late";
  if (
    error instanceof MongoNotConnectedError ||
    error instanceof MongoTopologyClosedError ||
    error instanceof MongoClientClosedError
  ) {
    return "late";
  }
  if (error instanceof MongoNetworkError) return "again";
  // The driver does not export these two classes.
  if (error instanceof MongoError && (error.name === "MongoWaitQueueTimeoutError" || error.name === "MongoPoolClosedError"))
    return "late";
  if (error instanceof MongoServerError && typeof error.code === "number") return passing.has(error.code) ? "again" : "none";
  // Our own mistake: the driver did not even send it.
  if (error instanceof MongoInvalidArgumentError || error instanceof MongoMissingDependencyError) return "none";
  // Now and then the driver lets the socket's own error through as it is.
  if (error instanceof Error && "syscall" in error) return "again";
  // Whatever else the driver throws is about the connection or the server behind it (stale primary, closed server, expired session,
  // a reply cut short): nobody has looked at the command and refused it.
  return error instanceof MongoError ? "again" : "none";
}

/** What callers see. The cause may name hosts, so it is for logs only. */
export function longhaulError(error: unknown): LonghaulError {
  if (error instanceof LonghaulError) return error;
  if (outageOf(error) === "none") return new LonghaulError("internal", "the database refused an operation", { cause: error });
  return unavailable(error);
}

export function unavailable(cause: unknown): LonghaulError {
  return new LonghaulError("unavailable", "the database can't be reached at the moment, try again later", {
    cause,
    retryAfterMs,
  });
}
