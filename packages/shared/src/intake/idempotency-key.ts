import { LonghaulError } from "@longhaul/core";

const allowed = /^[\x20-\x7e]{1,255}$/;
const rule = "1 to 255 printable ASCII characters, bare (without spaces) or as a quoted string";

/** Reads the value of header or metadata `idempotency-key`: a quoted string (RFC 8941) or a bare word. Throws `invalid_argument`. */
export function readIdempotencyKey(header: string): string {
  const text = header.trim();
  const quoted = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/.exec(text)?.[1];
  if (quoted !== undefined) {
    const key = quoted.replaceAll(/\\(["\\])/g, "$1");
    if (allowed.test(key)) return key;
  } else if (/^[\x21\x23-\x7e]{1,255}$/.test(text)) {
    return text;
  }
  throw new LonghaulError("invalid_argument", `the idempotency key is malformed: it is ${rule}`);
}

/**
 * The one key of a request: from the header (or metadata) and the field `request_id`, which mean the same. Empty for none. Throws
 * `invalid_argument` when one is malformed or the two differ.
 */
export function oneIdempotencyKey(header: string | undefined, requestId: string): string {
  if (requestId !== "" && !allowed.test(requestId)) {
    throw new LonghaulError("invalid_argument", "requestId is malformed: it is 1 to 255 printable ASCII characters", {
      faults: [{ pointer: "/requestId", message: "must be 1 to 255 printable ASCII characters" }],
    });
  }
  if (header === undefined) return requestId;
  const key = readIdempotencyKey(header);
  if (requestId !== "" && requestId !== key) {
    throw new LonghaulError("invalid_argument", "the idempotency-key and requestId differ: give one of them, or the same twice", {
      faults: [{ pointer: "/requestId", message: "differs from the idempotency-key" }],
    });
  }
  return key;
}
