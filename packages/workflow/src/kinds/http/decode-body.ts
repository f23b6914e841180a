import type { Json, OutboundResponse } from "@longhaul/core";

/** An answer's body as JSON: parsed where it says that it is JSON, text as text, other bytes as base64; null where there is none. */
export function decodeBody({ headers, body }: Pick<OutboundResponse, "headers" | "body">): Json {
  if (body.length === 0) return null;
  const type = (headers["content-type"] ?? "").toLowerCase();
  const media = type.split(";")[0]?.trim() ?? "";
  if (headers["content-encoding"] !== undefined && headers["content-encoding"] !== "identity") return base64(body);
  if (/^(application|text)\/([a-z0-9.+-]+\+)?json$/.test(media)) return jsonOrText(body);
  if (
    media.startsWith("text/") ||
    /^application\/(xml|[a-z0-9.+-]+\+xml|javascript|x-www-form-urlencoded|yaml|x-ndjson|graphql|toml|sql)$/.test(media)
  ) {
    return decodeText(body, type) ?? base64(body);
  }
  if (media === "") return decodeText(body, type) ?? base64(body);
  return base64(body);
}

function base64(body: Uint8Array): string {
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("base64");
}

function jsonOrText(body: Uint8Array): Json {
  const text = new TextDecoder().decode(body);
  try {
    const value: Json = JSON.parse(text);
    return tooDeep(value, 60) ? text : value;
  } catch {
    return text;
  }
}

/** Deeper values could be stored but not worked with; their text can. */
function tooDeep(value: Json, left: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return left === 0 || Object.values(value).some((item) => tooDeep(item, left - 1));
}

/** Text in the charset that the header names (UTF-8 if none); undefined where the bytes are none. */
function decodeText(body: Uint8Array, type: string): string | undefined {
  const charset = /charset=["']?([a-z0-9._-]{1,40})/.exec(type)?.[1] ?? "utf-8";
  try {
    return new TextDecoder(charset, { fatal: true }).decode(body);
  } catch {
    return undefined;
  }
}
