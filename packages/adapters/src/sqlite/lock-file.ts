import { LonghaulError } from "@longhaul/core";
import { openRaw } from "./connection.ts";

/**
 * Makes this process the only one on `file`, until the returned function is called or the process ends, however it ends.
 *
 * The lock is an exclusive transaction on an empty database beside the data. The operating system drops it with the process, so
 * a `kill -9` leaves nothing stale behind, and no process id has to be guessed at (ids are used again, and in a container
 * every process is number 1).
 */
export function lockFile(file: string): () => void {
  let lock: ReturnType<typeof openRaw>;
  try {
    lock = openRaw(`${file}.lock`, 0);
  } catch (cause) {
    throw new LonghaulError("unavailable", `${file} can't be opened: its folder does not exist or may not be written.`, {
      cause,
    });
  }
  try {
    lock.exec("PRAGMA journal_mode = MEMORY");
    lock.exec("BEGIN EXCLUSIVE");
  } catch (cause) {
    lock.close();
    throw new LonghaulError(
      "unavailable",
      `Another Longhaul process uses ${file}. Stop it first, or give this one another DATA_DIR.`,
      { cause },
    );
  }
  return () => lock.close();
}
