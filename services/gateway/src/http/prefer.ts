/** The longest wait that a caller may ask for, in seconds. */
export const maxWaitSeconds = 60;

/**
 * Seconds of `Prefer: wait=N` (RFC 7240), at most 60; undefined when the header names none that is a positive whole number.
 * A preference that makes no sense is ignored, as the RFC wants it.
 */
export function readPreferWait(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  for (const part of header.split(",")) {
    const found = /^\s*wait\s*=\s*(?:"(\d{1,9})"|(\d{1,9}))\s*(?:;.*)?$/i.exec(part);
    const seconds = found && Number(found[1] ?? found[2]);
    if (seconds) return Math.min(seconds, maxWaitSeconds);
  }
  return undefined;
}
