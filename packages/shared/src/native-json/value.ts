import type { ListValue, Struct, Value } from "@bufbuild/protobuf/wkt";
import { type Json, LonghaulError } from "@longhaul/core";

/** How deep JSON may nest. */
export const maxJsonDepth = 64;

const tooDeep = (): LonghaulError =>
  new LonghaulError("invalid_argument", `JSON may not nest deeper than ${maxJsonDepth} levels`, {
    faults: [{ pointer: "", message: `is nested deeper than ${maxJsonDepth} levels` }],
  });

/** JSON as a google.protobuf.Value. Throws `invalid_argument` when it nests too deep. Every key survives, `__proto__` too. */
export function valueFromJson(json: Json, depth: number = maxJsonDepth): Value {
  return { $typeName: "google.protobuf.Value", kind: kindOf(json, depth) };
}

function kindOf(json: Json, depth: number): Value["kind"] {
  switch (typeof json) {
    case "string":
      return { case: "stringValue", value: json };
    case "number":
      return { case: "numberValue", value: json };
    case "boolean":
      return { case: "boolValue", value: json };
    default: {
      if (json === null) return { case: "nullValue", value: 0 };
      if (depth <= 0) throw tooDeep();
      if (isArray(json)) {
        const values: Value[] = new Array(json.length);
        for (let at = 0; at < json.length; at++) values[at] = valueFromJson(json[at] ?? null, depth - 1);
        const list: ListValue = { $typeName: "google.protobuf.ListValue", values };
        return { case: "listValue", value: list };
      }
      const fields: Record<string, Value> = {};
      for (const key of Object.keys(json)) setOwn(fields, key, valueFromJson(json[key] ?? null, depth - 1));
      const struct: Struct = { $typeName: "google.protobuf.Struct", fields };
      return { case: "structValue", value: struct };
    }
  }
}

/** A google.protobuf.Value as JSON; numbers that JSON lacks become null. Throws `invalid_argument` when it nests too deep. */
export function valueToJson(value: Value, depth: number = maxJsonDepth): Json {
  const { kind } = value;
  switch (kind.case) {
    case "stringValue":
    case "boolValue":
      return kind.value;
    case "numberValue":
      return Number.isFinite(kind.value) ? kind.value : null;
    case "structValue": {
      if (depth <= 0) throw tooDeep();
      const { fields } = kind.value;
      const json: Record<string, Json> = {};
      for (const key of Object.keys(fields)) {
        const field = fields[key];
        if (field) setOwn(json, key, valueToJson(field, depth - 1));
      }
      return json;
    }
    case "listValue": {
      if (depth <= 0) throw tooDeep();
      const { values } = kind.value;
      const json: Json[] = new Array(values.length);
      for (let at = 0; at < values.length; at++) {
        const item = values[at];
        json[at] = item ? valueToJson(item, depth - 1) : null;
      }
      return json;
    }
    default:
      return null;
  }
}

/** `target[key] = value`, also for `__proto__`, which would otherwise set the prototype. */
export function setOwn<T>(target: Record<string, T>, key: string, value: T): void {
  if (key === "__proto__") Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
  else target[key] = value;
}

function isArray(json: Json): json is readonly Json[] {
  return Array.isArray(json);
}
