import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A fresh folder, and how to remove it. */
export async function freshFolder(): Promise<{ readonly dir: string; remove(): Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), "longhaul-bench-"));
  return { dir, remove: () => rm(dir, { recursive: true, force: true }) };
}
