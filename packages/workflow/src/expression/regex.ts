import { RE2JS } from "@bufbuild/re2";
import { CelFault, charge, type Meter } from "./cel-value.ts";

export interface Regex {
  test(text: string): boolean;
}

const cacheSize = 200;
const cache = new Map<string, Regex>();

/** Longest pattern that is accepted anywhere. */
export const maxPatternLength = 1000;

/**
 * About how many states a pattern compiles to. RE2 never backtracks, so a match costs at most text length times this, and compiling costs this.
 */
export function patternWeight(pattern: string): number {
  let repeats = 1;
  let weight = pattern.length + 1;
  for (const [, low = "0", high = "0"] of pattern.matchAll(/\{(\d{1,4})(?:,(\d{0,4}))?\}/g)) {
    repeats = Math.max(repeats, Number(low), Number(high));
  }
  // Nested counts multiply, but RE2 refuses products above 1000.
  weight *= pattern.indexOf("{") === pattern.lastIndexOf("{") ? Math.min(repeats, 1000) : Math.min(repeats * repeats, 1000);
  return weight;
}

/** Compiles a pattern of RE2 syntax (no backreferences, no look-around); throws the engine's syntax error. */
export function compileRegex(pattern: string): Regex {
  const known = cache.get(pattern);
  if (known) return known;
  const regex = RE2JS.compile(pattern);
  if (cache.size >= cacheSize) {
    const [oldest] = cache.keys();
    if (oldest !== undefined) cache.delete(oldest);
  }
  cache.set(pattern, regex);
  return regex;
}

/** CEL's `matches`: whether the pattern is found anywhere in the text. */
export function matches(meter: Meter, text: string, pattern: string): boolean {
  if (pattern.length > maxPatternLength) throw new CelFault(`a pattern may have at most ${maxPatternLength} characters`);
  const weight = patternWeight(pattern);
  charge(meter, weight + ((text.length + 1) * weight) / 4);
  let regex: Regex;
  try {
    regex = compileRegex(pattern);
  } catch (cause) {
    throw new CelFault(`the pattern ${JSON.stringify(pattern)} is not a valid RE2 expression`, { cause });
  }
  return regex.test(text);
}
