import { type Cel, CelFault, charge, chargeLength, type Meter } from "./cel-value.ts";

const surrogate = /[\ud800-\udfff]/;

/** CEL counts code points; only a string with surrogates needs to be taken apart for that. */
function points(meter: Meter, text: string): readonly string[] | undefined {
  charge(meter, text.length >> 6);
  if (!surrogate.test(text)) return undefined;
  charge(meter, text.length >> 2);
  return [...text];
}

export function lengthOf(meter: Meter, text: string): number {
  return points(meter, text)?.length ?? text.length;
}

function outside(index: number, length: number): CelFault {
  return new CelFault(`index ${index} is outside 0 to ${length}`);
}

export function charAt(meter: Meter, text: string, index: number): string {
  const parts = points(meter, text);
  const length = parts?.length ?? text.length;
  if (index < 0 || index > length) throw outside(index, length);
  return (parts ? parts[index] : text[index]) ?? "";
}

export function substring(meter: Meter, text: string, start: number, end: number | undefined): string {
  const parts = points(meter, text);
  const length = parts?.length ?? text.length;
  const stop = end ?? length;
  if (start < 0 || start > length) throw outside(start, length);
  if (stop < start || stop > length) throw outside(stop, length);
  return parts ? parts.slice(start, stop).join("") : text.slice(start, stop);
}

export function indexOf(meter: Meter, text: string, part: string, from: number | undefined): number {
  return find(meter, text, part, from, (parts, offset) => parts.indexOf(part, offset));
}

export function lastIndexOf(meter: Meter, text: string, part: string, from: number | undefined): number {
  return find(meter, text, part, from, (parts, offset) => parts.lastIndexOf(part, from === undefined ? undefined : offset));
}

function find(
  meter: Meter,
  text: string,
  part: string,
  from: number | undefined,
  search: (text: string, offset: number) => number,
): number {
  chargeSearch(meter, text, part);
  const parts = points(meter, text);
  const length = parts?.length ?? text.length;
  if (from !== undefined && (from < 0 || from > length)) throw outside(from, length);
  if (!parts) return search(text, from ?? 0);
  const offset = from === undefined ? 0 : parts.slice(0, from).join("").length;
  const found = search(text, offset);
  return found <= 0 ? found : [...text.slice(0, found)].length;
}

/** A search is linear for short needles and product-like for long ones in the worst case. */
export function chargeSearch(meter: Meter, text: string, part: string): void {
  charge(meter, (text.length * Math.min(part.length + 1, 64)) >> 6);
}

export function lowerAscii(meter: Meter, text: string): string {
  charge(meter, text.length >> 4);
  return text.replace(/[A-Z]+/g, (run) => run.toLowerCase());
}

export function upperAscii(meter: Meter, text: string): string {
  charge(meter, text.length >> 4);
  return text.replace(/[a-z]+/g, (run) => run.toUpperCase());
}

export function replace(meter: Meter, text: string, part: string, by: string, limit: number | undefined): string {
  chargeSearch(meter, text, part);
  const most = limit === undefined || limit < 0 ? text.length + 1 : limit;
  if (part === "") return replaceBetween(meter, text, by, most);
  const pieces: string[] = [];
  let at = 0;
  let length = text.length;
  for (let found = text.indexOf(part); found >= 0 && pieces.length < most; found = text.indexOf(part, at)) {
    charge(meter, 2);
    length += by.length - part.length;
    pieces.push(text.slice(at, found));
    at = found + part.length;
  }
  chargeLength(meter, length);
  pieces.push(text.slice(at));
  return pieces.join(by);
}

function replaceBetween(meter: Meter, text: string, by: string, most: number): string {
  charge(meter, text.length);
  const parts = [...text];
  const count = Math.min(most, parts.length + 1);
  chargeLength(meter, text.length + count * by.length);
  const head = parts.slice(0, Math.max(0, count - 1)).map((part) => part + by);
  return `${count > 0 ? by : ""}${head.join("")}${parts.slice(Math.max(0, count - 1)).join("")}`;
}

export function split(meter: Meter, text: string, separator: string, limit: number | undefined): readonly string[] {
  chargeSearch(meter, text, separator);
  if (limit === 0) return [];
  if (limit === 1) return [text];
  charge(meter, separator === "" ? text.length : text.length >> 3);
  const parts = separator === "" ? [...text] : text.split(separator);
  charge(meter, parts.length);
  if (limit === undefined || limit < 0 || parts.length <= limit) return parts;
  return [...parts.slice(0, limit - 1), parts.slice(limit - 1).join(separator)];
}

export function join(meter: Meter, list: readonly Cel[], separator: string): string {
  let length = 0;
  const parts: string[] = [];
  charge(meter, list.length);
  for (const item of list) {
    if (typeof item !== "string")
      throw new CelFault('join() needs a list of strings; turn the items into strings first: l.map(x, string(x)).join(",")');
    length += item.length + separator.length;
    parts.push(item);
  }
  chargeLength(meter, length);
  return parts.join(separator);
}

const space = "[\\u0009-\\u000d\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
const isSpace = new RegExp(space);

export function trim(meter: Meter, text: string): string {
  charge(meter, text.length >> 3);
  let start = 0;
  let end = text.length;
  while (start < end && isSpace.test(text[start] ?? "")) start++;
  while (end > start && isSpace.test(text[end - 1] ?? "")) end--;
  return text.slice(start, end);
}

const escapes: ReadonlyMap<string, string> = new Map([
  ["\x07", "\\a"],
  ["\b", "\\b"],
  ["\f", "\\f"],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
  ["\v", "\\v"],
  ["\\", "\\\\"],
  ['"', '\\"'],
]);

export function quote(meter: Meter, text: string): string {
  charge(meter, text.length >> 2);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters that CEL escapes
  return `"${text.replace(/[\x07\b\f\n\r\t\v\\"]/g, (found) => escapes.get(found) ?? found)}"`;
}

export function reverse(meter: Meter, text: string): string {
  charge(meter, text.length >> 1);
  return [...text].reverse().join("");
}
