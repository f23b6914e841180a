import { randomBytes } from "node:crypto";

const poolBytes = 8_192;

/**
 * Makes UUIDv7s that only rise within this process: the 12 bits behind the time count within a millisecond, from a random start in
 * their lower half, and when they overflow (or the clock goes back) the id runs ahead of the clock.
 */
export function taskIds(now: () => number = Date.now): () => string {
  let pool = Buffer.alloc(0);
  let at = 0;
  let lastMs = 0;
  let count = 0;
  const take = (bytes: number): Buffer => {
    if (at + bytes > pool.length) {
      pool = randomBytes(poolBytes);
      at = 0;
    }
    at += bytes;
    return pool.subarray(at - bytes, at);
  };
  return () => {
    const ms = Math.floor(now());
    if (ms > lastMs) {
      lastMs = ms;
      count = take(2).readUInt16BE() & 0x7ff;
    } else if (++count > 0xfff) {
      lastMs++;
      count = take(2).readUInt16BE() & 0x7ff;
    }
    const random = take(8).toString("hex");
    const time = lastMs.toString(16).padStart(12, "0");
    const variant = "89ab".charAt(Number.parseInt(random.charAt(0), 16) & 3);
    return `${time.slice(0, 8)}-${time.slice(8)}-7${count.toString(16).padStart(3, "0")}-${variant}${random.slice(1, 4)}-${random.slice(4, 16)}`;
  };
}
