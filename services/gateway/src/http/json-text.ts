import { isUtf8 } from "node:buffer";
import { type Json, LonghaulError } from "@longhaul/core";
import { checkJsonDepth } from "@longhaul/shared";

/** Parses a request body as JSON. Throws `invalid_argument` with line and column. Keys such as `__proto__` are plain data. */
export function parseJson(bytes: Uint8Array): Json {
  if (!isUtf8(bytes)) throw new LonghaulError("invalid_argument", "the body is not valid UTF-8");
  checkJsonDepth(bytes);
  const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8", hasMark ? 3 : 0);
  try {
    const value: Json = JSON.parse(text);
    return value;
  } catch (cause) {
    const { at, why } = findFault(text);
    const before = text.slice(0, at);
    const line = before.split("\n").length;
    const column = at - before.lastIndexOf("\n");
    const where = `line ${line}, column ${column}`;
    throw new LonghaulError("invalid_argument", `the body is not valid JSON: ${why} at ${where} (position ${at})`, {
      cause,
      faults: [{ pointer: "", message: `${why} at ${where}` }],
    });
  }
}

interface Fault {
  /** Index into the text. */
  readonly at: number;
  /** What is wrong there, the beginning of a sentence. */
  readonly why: string;
}

/** Where JSON that does not parse goes wrong first. Quotes nothing of it, because a body may hold secrets. */
function findFault(text: string): Fault {
  const open: string[] = [];
  let at = 0;
  let want: "a value" | "a value or ]" | "a key" | "a key or }" | "a colon" | "a comma or the end" = "a value";
  const expected = (what: string): Fault => ({
    at,
    why: at >= text.length ? `it ends where ${what} is expected` : `expected ${what}`,
  });
  for (;;) {
    while (at < text.length && " \t\r\n".includes(text.charAt(at))) at++;
    const ch = text.charAt(at);
    if (ch === "") return expected(want === "a comma or the end" && open.length > 0 ? closing(open) : want);
    if (want === "a colon") {
      if (ch !== ":") return expected(want);
      at++;
      want = "a value";
    } else if (want === "a comma or the end") {
      if (open.length === 0) return { at, why: "expected nothing more" };
      if (ch === ",") want = open.at(-1) === "{" ? "a key" : "a value";
      else if (ch === (open.at(-1) === "{" ? "}" : "]")) open.pop();
      else return expected(closing(open));
      at++;
    } else if ((want === "a key or }" && ch === "}") || (want === "a value or ]" && ch === "]")) {
      open.pop();
      at++;
      want = "a comma or the end";
    } else if (ch === '"') {
      const end = endOfString(text, at);
      if (typeof end !== "number") return end;
      at = end;
      want = want.startsWith("a key") ? "a colon" : "a comma or the end";
    } else if (want.startsWith("a key")) {
      return expected(`${want} (in double quotes)`);
    } else if (ch === "{" || ch === "[") {
      open.push(ch);
      at++;
      want = ch === "{" ? "a key or }" : "a value or ]";
    } else {
      const word = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-])/y;
      word.lastIndex = at;
      if (!word.test(text)) return expected(want);
      at = word.lastIndex;
      want = "a comma or the end";
    }
  }
}

function closing(open: readonly string[]): string {
  return open.at(-1) === "{" ? "a comma or }" : "a comma or ]";
}

function endOfString(text: string, start: number): number | Fault {
  for (let at = start + 1; at < text.length; at++) {
    const ch = text.charAt(at);
    if (ch === '"') return at + 1;
    if (ch < " ") return { at, why: "a control character in a string (it must be escaped)" };
    if (ch !== "\\") continue;
    const escaped = /["\\/bfnrt]|u[0-9a-fA-F]{4}/y;
    escaped.lastIndex = at + 1;
    if (!escaped.test(text)) return { at, why: "an unknown escape in a string" };
    at = escaped.lastIndex - 1;
  }
  return { at: text.length, why: "it ends inside a string" };
}
