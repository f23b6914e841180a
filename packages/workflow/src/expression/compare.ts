import {
  type Cel,
  CelFault,
  charge,
  Duration,
  isList,
  isMap,
  isObject,
  type MapKey,
  type Meter,
  mapKey,
  Timestamp,
  TypeName,
  typeName,
  Uint,
} from "./cel-value.ts";

// Data deeper than this is refused rather than overflowing the stack.
const maxDepth = 200;

/** CEL equality: numbers by value across int, uint and double; everything else only within its own type. */
export function equal(meter: Meter, left: Cel, right: Cel, depth = 0): boolean {
  charge(meter, 1);
  if (typeof left === "string") {
    if (typeof right !== "string") return false;
    charge(meter, Math.min(left.length, right.length) >> 6);
    return left === right;
  }
  if (typeof left === "number" && typeof right === "number") return left === right;
  if (left === null || right === null || typeof left === "boolean" || typeof right === "boolean") return left === right;
  const order = compareNumbers(left, right);
  if (order !== undefined) return order === 0;
  if (typeof left !== "object" || typeof right !== "object") return false;
  if (depth > maxDepth) throw new CelFault("the values are nested too deeply to compare");
  if (isList(left)) {
    if (!isList(right) || left.length !== right.length) return false;
    return left.every((item, index) => equal(meter, item, right[index] ?? null, depth + 1));
  }
  if (left instanceof Uint8Array) return right instanceof Uint8Array && compareBytes(left, right) === 0;
  if (left instanceof Timestamp) return right instanceof Timestamp && left.ns === right.ns;
  if (left instanceof Duration) return right instanceof Duration && left.ns === right.ns;
  if (left instanceof TypeName) return right instanceof TypeName && left.name === right.name;
  return equalMaps(meter, left, right, depth);
}

function equalMaps(meter: Meter, left: Cel, right: Cel, depth: number): boolean {
  const keys = mapKeys(left);
  if (keys === undefined || mapSize(left) !== mapSize(right)) return false;
  for (const key of keys) {
    const a = mapGet(left, key);
    const b = mapGet(right, key);
    if (a === undefined || b === undefined || !equal(meter, a, b, depth + 1)) return false;
  }
  return true;
}

/** Less than, equal, greater than as -1, 0, 1 (NaN is neither: NaN); a fault where the types have no order. */
export function compare(meter: Meter, operator: string, left: Cel, right: Cel): number {
  const order = compareNumbers(left, right);
  if (order !== undefined) return order;
  if (typeof left === "string" && typeof right === "string") {
    charge(meter, Math.min(left.length, right.length) >> 6);
    return compareStrings(left, right);
  }
  if (typeof left === "boolean" && typeof right === "boolean") return Number(left) - Number(right);
  if (left instanceof Timestamp && right instanceof Timestamp) return compareWhole(left.ns, right.ns);
  if (left instanceof Duration && right instanceof Duration) return compareWhole(left.ns, right.ns);
  if (left instanceof Uint8Array && right instanceof Uint8Array) return compareBytes(left, right);
  throw new CelFault(`${operator} does not compare ${typeName(left)} with ${typeName(right)}`);
}

/** Order of two numbers of any kind, NaN where one is not a number, undefined where they are not both of a number type. */
function compareNumbers(left: Cel, right: Cel): number | undefined {
  const a = left instanceof Uint ? left.value : left;
  const b = right instanceof Uint ? right.value : right;
  if ((typeof a !== "number" && typeof a !== "bigint") || (typeof b !== "number" && typeof b !== "bigint")) return undefined;
  // JavaScript compares BigInt with number by mathematical value, without rounding.
  if (a < b) return -1;
  if (a > b) return 1;
  // biome-ignore lint/suspicious/noDoubleEquals: strict equality is always false between BigInt and number
  return a == b ? 0 : Number.NaN;
}

function compareWhole(a: bigint, b: bigint): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function compareStrings(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}

/** The keys of a map of either kind; undefined for anything else. */
export function mapKeys(value: Cel): readonly MapKey[] | undefined {
  if (isMap(value)) return [...value.keys()];
  return isObject(value) ? Object.keys(value) : undefined;
}

export function mapSize(value: Cel): number | undefined {
  if (isMap(value)) return value.size;
  return isObject(value) ? Object.keys(value).length : undefined;
}

/** The value under a key; undefined where there is none. Only a key of its own counts, so prototypes are out of reach. */
export function mapGet(map: Cel, key: Cel): Cel | undefined {
  if (isMap(map)) {
    const found = mapKey(key);
    return found === undefined ? undefined : map.get(found);
  }
  if (typeof key !== "string" || !isObject(map)) return undefined;
  return Object.hasOwn(map, key) ? map[key] : undefined;
}
