/** How many partitions projects hash to. Fixed: it is part of what is stored. */
export const partitionCount = 64;

/** The partition of a project: FNV-1a over UTF-16 units, so that every service and store agrees. */
export function partitionOf(project: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < project.length; i++) {
    hash ^= project.charCodeAt(i);
    hash = Math.imul(hash, 0x01000193);
  }
  return (hash >>> 0) % partitionCount;
}
