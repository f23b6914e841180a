import type { Message } from "@bufbuild/protobuf";
import { LonghaulError } from "@longhaul/core";

/**
 * Refuses (`too_large`) a message of more than `maxBytes`, counting its strings, bytes and about two bytes per other field:
 * close to its encoded size, without encoding it. A walk that finds too much stops there.
 */
export function checkMessageSize(message: Message, maxBytes: number): void {
  if (measure(message, maxBytes) < 0) {
    throw new LonghaulError("too_large", `the message is larger than ${maxBytes} bytes`);
  }
}

/** What of `left` remains; negative when it does not suffice. */
function measure(value: unknown, left: number): number {
  switch (typeof value) {
    case "string":
      // UTF-8 takes at most three bytes per UTF-16 unit: count exactly only when that could matter.
      return value.length * 3 <= 1_024 || value.length > left ? left - value.length : left - Buffer.byteLength(value);
    case "object": {
      if (value === null) return left;
      if (ArrayBuffer.isView(value)) return left - value.byteLength;
      let rest = left;
      if (Array.isArray(value)) {
        for (let at = 0; at < value.length && rest >= 0; at++) rest = measure(value[at], rest - 1);
        return rest;
      }
      // Messages and their maps are plain objects; reading their fields by `Reflect.get` takes twice the time of the whole walk.
      const fields = value as Readonly<Record<string, unknown>>;
      for (const key in fields) {
        if (key === "$typeName" || key === "$unknown") continue;
        const field = fields[key];
        // Most fields are numbers, flags or short texts, and cost no call.
        if (typeof field === "string" && field.length * 3 <= 1_024) rest -= field.length + 2;
        else if (typeof field === "object" || typeof field === "string") rest = measure(field, rest - 2);
        else rest -= 4;
        if (rest < 0) return rest;
      }
      return rest;
    }
    default:
      return left - 2;
  }
}
