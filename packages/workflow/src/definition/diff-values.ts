import type { Json } from "@longhaul/core";
import type { JsonObject } from "../expression/cel-value.ts";
import { pointerTo } from "../expression/pointer.ts";

/** One place where two values differ. What is absent on a side is left out there. */
export interface ValueChange {
  /** JSON pointer, from the part that is compared. */
  readonly pointer: string;
  readonly before?: Json;
  readonly after?: Json;
  /** True where `before` or `after` is shown shortened: a text with its beginning, anything else as null. */
  readonly cut: boolean;
}

/** Collects changes up to a bound, and counts the others. */
export interface ChangeBudget {
  left: number;
  omitted: number;
}

const maxShown = 2048;
const maxTextShown = 500;

/** Adds every place where the values differ: keys in the order of `after`, removed ones behind; lists by index, behind a common beginning. */
export function diffValues(
  before: Json | undefined,
  after: Json | undefined,
  pointer: string,
  budget: ChangeBudget,
  found: ValueChange[],
): void {
  if (isObject(before) && isObject(after)) {
    for (const key of keysOf(before, after))
      diffValues(own(before, key), own(after, key), pointerTo(pointer, key), budget, found);
  } else if (Array.isArray(before) && Array.isArray(after)) diffLists(before, after, pointer, budget, found);
  else if (before !== after) addChange(before, after, pointer, budget, found);
}

function diffLists(
  before: readonly Json[],
  after: readonly Json[],
  pointer: string,
  budget: ChangeBudget,
  found: ValueChange[],
): void {
  const shorter = Math.min(before.length, after.length);
  // What was put in or taken out in the middle is told as that, not as a change of everything behind it.
  let tail = 0;
  if (before.length !== after.length)
    while (tail < shorter && areEqual(before[before.length - 1 - tail], after[after.length - 1 - tail])) tail++;
  const compared = shorter - tail;
  for (let index = 0; index < compared; index++)
    diffValues(before[index], after[index], pointerTo(pointer, index), budget, found);
  for (let index = compared; index < before.length - tail; index++)
    addChange(before[index], undefined, pointerTo(pointer, index), budget, found);
  for (let index = compared; index < after.length - tail; index++)
    addChange(undefined, after[index], pointerTo(pointer, index), budget, found);
}

function addChange(
  before: Json | undefined,
  after: Json | undefined,
  pointer: string,
  budget: ChangeBudget,
  found: ValueChange[],
): void {
  if (budget.left <= 0) {
    budget.omitted++;
    return;
  }
  budget.left--;
  const shown = [before, after].map(shorten);
  const [old, fresh] = shown;
  found.push({
    pointer,
    ...(before === undefined ? {} : { before: old?.value ?? null }),
    ...(after === undefined ? {} : { after: fresh?.value ?? null }),
    cut: shown.some((side) => side.cut),
  });
}

function shorten(value: Json | undefined): { readonly value: Json; readonly cut: boolean } {
  if (value === undefined) return { value: null, cut: false };
  if (typeof value === "string") {
    const cut = value.length > maxShown;
    return { value: cut ? value.slice(0, maxTextShown) : value, cut };
  }
  const cut = typeof value === "object" && JSON.stringify(value).length > maxShown;
  return { value: cut ? null : value, cut };
}

function keysOf(before: JsonObject, after: JsonObject): readonly string[] {
  return [...Object.keys(after), ...Object.keys(before).filter((key) => !Object.hasOwn(after, key))];
}

/** True for equal JSON, whatever the order of keys. */
export function areEqual(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && (a as readonly Json[]).every((item, index) => areEqual(item, b[index]));
  if (!isObject(a) || !isObject(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && areEqual(a[key], b[key]));
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function own(object: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}
