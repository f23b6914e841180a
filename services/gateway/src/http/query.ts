import { type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import { type Json, LonghaulError } from "@longhaul/core";
import { parseJson } from "./json-text.ts";

/**
 * Turns a query string into the native JSON of a request: names in lowerCamelCase or snake_case, repeated fields by repeating the
 * name, maps as `label.k=v`. Empty values count as absent. Throws `invalid_argument`.
 */
export function readQuery(message: DescMessage, query: string, taken: ReadonlySet<string>): Record<string, Json> {
  const read: Record<string, Json> = {};
  const maps = new Map<string, [string, string][]>();
  const lists = new Map<string, Json[]>();
  for (const part of query.split("&")) {
    if (part === "") continue;
    const cut = part.indexOf("=");
    const name = decode(cut < 0 ? part : part.slice(0, cut));
    const value = cut < 0 ? "" : decode(part.slice(cut + 1));
    const { field, key } = find(message, name, taken);
    if (key !== undefined) {
      const entries = maps.get(field.jsonName) ?? [];
      if (entries.some(([known]) => known === key)) throw fault(name, "is given twice");
      maps.set(field.jsonName, [...entries, [key, value]]);
    } else if (value === "") {
      // As a form sends a field that was left empty.
    } else if (field.fieldKind === "list") {
      const values = field.listKind === "enum" ? value.split(",") : [value];
      lists.set(field.jsonName, [...(lists.get(field.jsonName) ?? []), ...values.map((one) => readScalar(field, name, one))]);
    } else {
      if (Object.hasOwn(read, field.jsonName)) throw fault(name, "is given twice");
      read[field.jsonName] = readScalar(field, name, value);
    }
  }
  for (const [name, entries] of maps) {
    const field = message.fields.find((one) => one.jsonName === name);
    const isJson = field?.fieldKind === "map" && isAnyJson(field.message);
    read[name] = Object.fromEntries(entries.map(([key, value]) => [key, isJson ? readJson(`${name}.${key}`, value) : value]));
  }
  for (const [name, values] of lists) read[name] = values;
  return read;
}

function find(
  message: DescMessage,
  name: string,
  taken: ReadonlySet<string>,
): { readonly field: DescField; readonly key?: string } {
  const dot = name.indexOf(".");
  const head = dot < 0 ? name : name.slice(0, dot);
  const field = message.fields.find((one) => one.jsonName === head || one.name === head);
  if (field && !taken.has(field.name)) {
    if (field.fieldKind === "map" ? dot > 0 && dot < name.length - 1 : dot < 0) {
      return dot < 0 ? { field } : { field, key: name.slice(dot + 1) };
    }
    if (field.fieldKind === "map") throw fault(name, `needs a key: ${head}.<key>=<value>`);
  }
  const known = message.fields
    .filter((one) => !taken.has(one.name))
    .map((one) => (one.fieldKind === "map" ? `${one.jsonName}.<key>` : one.jsonName));
  throw fault(
    name,
    known.length === 0 ? "is not known; this request takes no query parameters" : `is not known; these are: ${known.join(", ")}`,
  );
}

/** The native JSON of one value given as text, in a query or a path. Throws `invalid_argument`. */
export function readScalar(field: DescField, name: string, value: string): Json {
  if (isAnyJson(field.message)) return readJson(name, value);
  const type = field.scalar;
  switch (type) {
    case undefined:
    case ScalarType.STRING:
      return value;
    case ScalarType.BOOL:
      if (value === "true" || value === "false") return value === "true";
      throw fault(name, "must be true or false");
    case ScalarType.INT64:
    case ScalarType.UINT64:
    case ScalarType.SINT64:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      if (/^-?\d{1,19}$/.test(value)) return value;
      throw fault(name, "must be a whole number");
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      if (/^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(value)) return Number(value);
      throw fault(name, "must be a number");
    case ScalarType.BYTES:
      return value;
    default:
      if (/^-?\d{1,15}$/.test(value)) return Number(value);
      throw fault(name, "must be a whole number");
  }
}

function isAnyJson(message: DescMessage | undefined): boolean {
  return message?.typeName === "google.protobuf.Value";
}

function readJson(name: string, value: string): Json {
  try {
    return parseJson(Buffer.from(value));
  } catch (error) {
    if (error instanceof LonghaulError)
      throw fault(name, `must be JSON: ${error.message.replace("the body is not valid JSON: ", "")}`);
    throw error;
  }
}

function decode(text: string): string {
  try {
    const value = decodeURIComponent(text.replaceAll("+", " "));
    if (!value.includes("\0")) return value;
  } catch {
    // Said below.
  }
  throw new LonghaulError("invalid_argument", "the query string is malformed: it must be percent-encoded UTF-8 without NUL");
}

function fault(name: string, message: string): LonghaulError {
  const shown = name.length > 80 ? `${name.slice(0, 80)}…` : name;
  return new LonghaulError("invalid_argument", `query parameter ${shown} ${message}`, {
    faults: [{ pointer: `/${shown.replaceAll("~", "~0").replaceAll("/", "~1")}`, message }],
  });
}
