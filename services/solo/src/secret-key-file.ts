import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, linkSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { LonghaulError } from "@longhaul/core";

/**
 * The key that encrypts stored secrets, for solo on loopback without SECRET_KEY: made once and kept beside the data, readable by its
 * owner only. It protects a copied database file, not a copied folder.
 */
export function secretKeyOf(dataDir: string): Uint8Array {
  const path = join(dataDir, "secret.key");
  const found = read(path);
  if (found !== undefined) return found;
  const part = `${path}.${process.pid}.part`;
  const file = openSync(part, "w", 0o600);
  try {
    writeSync(file, `${randomBytes(32).toString("base64")}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  try {
    // A link never replaces a key that is there already, and appears with its content or not at all.
    linkSync(part, path);
  } catch (why) {
    if (!(why instanceof Error && "code" in why && why.code === "EEXIST")) throw why;
  } finally {
    rmSync(part, { force: true });
  }
  const made = read(path);
  if (made === undefined) throw new LonghaulError("internal", `the key file ${path} could not be made`);
  return made;
}

function read(path: string): Uint8Array | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (why) {
    if (why instanceof Error && "code" in why && why.code === "ENOENT") return undefined;
    throw why;
  }
  const key = Buffer.from(text.trim(), "base64");
  if (key.length === 32) return key;
  throw new LonghaulError("invalid_argument", `${path} does not hold 32 bytes in base64; restore it, or set SECRET_KEY`);
}
