import type { Operator } from "./arithmetic.ts";
import { type Cel, CelFault, isList, isMap, isObject, type Meter, mapKey, typeName, wholeNumber } from "./cel-value.ts";
import { equal, mapGet } from "./compare.ts";

/** The parser's names of the arithmetic operators. */
export const arithmeticOperators: ReadonlyMap<string, Operator> = new Map([
  ["_+_", "+"],
  ["_-_", "-"],
  ["_*_", "*"],
  ["_/_", "/"],
  ["_%_", "%"],
]);

/** What each comparison asks of the order of its sides. */
export const orderOperators: ReadonlyMap<string, (order: number) => boolean> = new Map([
  ["_<_", (order: number) => order < 0],
  ["_<=_", (order: number) => order <= 0],
  ["_>_", (order: number) => order > 0],
  ["_>=_", (order: number) => order >= 0],
]);

/** The value as a truth value. */
export function truth(operator: string, value: Cel): boolean {
  if (typeof value === "boolean") return value;
  throw new CelFault(`${operator} needs true or false, not ${typeName(value)}`);
}

/** `value.key` */
export function field(value: Cel, key: string): Cel {
  const found = mapGet(value, key);
  if (found !== undefined) return found;
  if (!isObject(value) && !isMap(value)) throw new CelFault(`cannot read "${key}" of a value of type ${typeName(value)}`);
  throw new CelFault(`no such key: "${key}"`);
}

/** `value[key]` */
export function at(value: Cel, key: Cel): Cel {
  if (isList(value)) {
    const index = wholeNumber(key);
    if (index === undefined) throw new CelFault(`a list's index must be a whole number, not ${typeName(key)}`);
    const found = index < 0n ? undefined : value[Number(index)];
    if (found === undefined) throw new CelFault(`index ${index} is outside a list of ${value.length}`);
    return found;
  }
  if (!isMap(value) && !isObject(value)) throw new CelFault(`[ ] does not work on ${typeName(value)}`);
  const found = mapGet(value, key);
  if (found === undefined)
    throw new CelFault(`no such key: ${typeof key === "string" ? JSON.stringify(key.slice(0, 100)) : String(mapKey(key))}`);
  return found;
}

/** `value in container` */
export function isIn(meter: Meter, value: Cel, container: Cel): boolean {
  if (isList(container)) return container.some((item) => equal(meter, item, value));
  if (isMap(container) || isObject(container)) return mapGet(container, value) !== undefined;
  throw new CelFault(`in needs a list or a map, not ${typeName(container)}`);
}
