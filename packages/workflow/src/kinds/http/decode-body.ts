import type { Json, OutboundResponse } from "@longhaul/core";
import { NodeFailure } from "../kind.ts";
import type { ParseMode } from "./build-request.ts";

/** Deepest JSON that expressions can still work with. */
const maxDepth = 60;

/**
 * An answer's body as the node hands it on; null where it is empty. `auto` parses what says that it is JSON, decodes text and gives other
 * bytes as base64; the other modes do one of these. Throws NodeFailure `http_invalid_body` where `json` or `text` cannot be done.
 */
export function decodeBody(answer: Pick<OutboundResponse, "headers" | "body">, mode: ParseMode = "auto"): Json {
  const { headers, body } = answer;
  if (body.length === 0 || mode === "none") return null;
  if (mode === "base64") return base64(body);
  const type = (headers["content-type"] ?? "").toLowerCase();
  const encoding = headers["content-encoding"] ?? "identity";
  if (mode === "auto") return encoding === "identity" ? byType(body, type) : base64(body);
  if (encoding !== "identity") throw invalidBody(`the answer is compressed (${JSON.stringify(encoding.slice(0, 40))})`);
  const text = lenientText(body, type);
  return mode === "text" ? text : strictJson(text);
}

function byType(body: Uint8Array, type: string): Json {
  const media = type.split(";")[0]?.trim() ?? "";
  if (/^(application|text)\/([a-z0-9.+-]+\+)?json$/.test(media)) return jsonOrText(lenientText(body, type));
  const isText =
    media === "" ||
    media.startsWith("text/") ||
    /^application\/(xml|[a-z0-9.+-]+\+xml|javascript|x-www-form-urlencoded|yaml|x-ndjson|graphql|toml|sql)$/.test(media);
  return (isText ? exactText(body, type) : undefined) ?? base64(body);
}

function base64(body: Uint8Array): string {
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("base64");
}

function jsonOrText(text: string): Json {
  try {
    const value: Json = JSON.parse(text);
    return tooDeep(value, maxDepth) ? text : value;
  } catch {
    return text;
  }
}

function strictJson(text: string): Json {
  let value: Json;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own message shows a piece of the text.
    throw invalidBody("the answer is not valid JSON");
  }
  if (tooDeep(value, maxDepth)) throw invalidBody(`the answer is JSON nested deeper than ${maxDepth} levels`);
  return value;
}

function invalidBody(message: string): NodeFailure {
  return new NodeFailure("http_invalid_body", message, { retryable: false, sent: "yes" });
}

/** Deeper values could be stored but not worked with; their text can. */
function tooDeep(value: Json, left: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return left === 0 || Object.values(value).some((item) => tooDeep(item, left - 1));
}

function charsetOf(type: string): string {
  return /charset=["']?([a-z0-9._-]{1,40})/.exec(type)?.[1] ?? "utf-8";
}

/** Text in the charset that the header names (UTF-8 if none); undefined where the bytes are none. */
function exactText(body: Uint8Array, type: string): string | undefined {
  try {
    return new TextDecoder(charsetOf(type), { fatal: true }).decode(body);
  } catch {
    return undefined;
  }
}

/** The same, with replacement characters for what is no text, and UTF-8 for a charset that nobody knows. */
function lenientText(body: Uint8Array, type: string): string {
  try {
    return new TextDecoder(charsetOf(type)).decode(body);
  } catch {
    return new TextDecoder().decode(body);
  }
}
