/** What `If-None-Match` says: `*`, or the entity tags named, without quotes and weakness. */
export type NoneMatch = "*" | readonly string[];

/** The strong entity tag of a version. */
export function entityTag(version: bigint | number | string): string {
  return `"${version}"`;
}

/**
 * Reads `If-None-Match` (RFC 9110, 13.1.2). The comparison is the weak one, so `W/` says nothing. What is no entity tag is passed
 * over: the answer is then a full one.
 */
export function readIfNoneMatch(header: string | undefined): NoneMatch | undefined {
  if (header === undefined) return undefined;
  if (header.trim() === "*") return "*";
  const tags = [...header.matchAll(/(?:^|,)\s*(?:W\/)?"([\x21\x23-\x7e]*)"\s*(?=,|$)/g)].map((found) => found[1] ?? "");
  return tags.length === 0 ? undefined : tags;
}

export function matchesNone(noneMatch: NoneMatch, version: string): boolean {
  return noneMatch === "*" || noneMatch.includes(version);
}

/** The highest version named, to wait for another one; undefined when no tag can be a version. */
export function highestVersion(noneMatch: NoneMatch | undefined): bigint | undefined {
  if (noneMatch === undefined || noneMatch === "*") return undefined;
  const versions = noneMatch.filter((tag) => /^[1-9]\d{0,17}$/.test(tag)).map(BigInt);
  return versions.reduce<bigint | undefined>((high, one) => (high === undefined || one > high ? one : high), undefined);
}
