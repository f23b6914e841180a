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
      for (const key in value) {
        if (key === "$typeName" || key === "$unknown") continue;
        rest = measure(Reflect.get(value, key), rest - 2);
        if (rest < 0) return rest;
      }
      return rest;
    }
    default:
      return left - 2;
  }
}
