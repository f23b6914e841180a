import { createHash } from "node:crypto";

/**
 * The key by which the outside can tell a repeated call from a new one: the same for every try and attempt of a node in one task, another
 * for every other node and task. A UUID of version 8 made from both.
 */
export function operationKey(taskId: string, path: string): string {
  const hash = createHash("sha256").update(`longhaul operation\n${taskId}\n${path}`).digest();
  hash.writeUInt8((hash.readUInt8(6) & 0x0f) | 0x80, 6);
  hash.writeUInt8((hash.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = hash.toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`;
}
