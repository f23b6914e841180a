import type { Json } from "@longhaul/core";
import type { JsonObject } from "../../expression/cel-value.ts";
import { pointerTo } from "../../expression/pointer.ts";
import { bytesOf, isGiven, nameOf, objectOf, scalarText, textOf } from "./field-values.ts";
import { headerValue } from "./header-fields.ts";
import { RequestFault } from "./request-fault.ts";

interface Part {
  readonly name: string;
  readonly filename: string | undefined;
  readonly contentType: string | undefined;
  readonly content: Uint8Array;
}

export interface Multipart {
  readonly type: string;
  readonly body: Uint8Array;
}

/**
 * A multipart/form-data body of a list or map of parts. Its boundary is made from the key and the parts alone, so the same parts under the
 * same key are the same bytes. Throws RequestFault.
 */
export function multipart(value: Json, key: string): Multipart {
  const parts = partsOf(value);
  const boundary = boundaryFor(parts, key);
  const chunks = parts.flatMap((part) => [Buffer.from(headOf(part, boundary)), part.content, Buffer.from("\r\n")]);
  return {
    type: `multipart/form-data; boundary=${boundary}`,
    body: Buffer.concat([...chunks, Buffer.from(`--${boundary}--\r\n`)]),
  };
}

/** One that no part holds: whoever made a part may have guessed the key. */
function boundaryFor(parts: readonly Part[], key: string): string {
  const base = `longhaul-${key.replaceAll(/[^0-9A-Za-z-]/g, "").slice(0, 48)}`;
  let boundary = base;
  for (
    let n = 1;
    parts.some(({ content }) => Buffer.from(content.buffer, content.byteOffset, content.byteLength).includes(boundary));
    n++
  )
    boundary = `${base}-${n}`;
  return boundary;
}

function headOf({ name, filename, contentType }: Part, boundary: string): string {
  const file = filename === undefined ? "" : `; filename="${quoted(filename)}"`;
  const type = contentType === undefined ? "" : `content-type: ${contentType}\r\n`;
  return `--${boundary}\r\ncontent-disposition: form-data; name="${quoted(name)}"${file}\r\n${type}\r\n`;
}

/** As browsers write names in a form: nothing can end the quotes or the line. */
function quoted(text: string): string {
  return text.replaceAll("\r", "%0D").replaceAll("\n", "%0A").replaceAll('"', "%22");
}

function partsOf(value: Json): readonly Part[] {
  if (Array.isArray(value)) {
    return (value as readonly Json[]).map((item, index) => {
      const at = pointerTo("/multipart", index);
      const fields = objectOf(at, item);
      const { name, ...rest } = fields;
      return partOf(at, textOf(pointerTo(at, "name"), name), rest);
    });
  }
  return Object.entries(objectOf("/multipart", value)).flatMap(([name, entry]) => {
    const at = pointerTo("/multipart", name);
    if (!Array.isArray(entry)) return entry === null ? [] : [partOf(at, name, entry)];
    return (entry as readonly Json[]).map((item, index) => partOf(pointerTo(at, index), name, item));
  });
}

const contents = ["text", "json", "base64"] as const;
const partKeys: ReadonlySet<string> = new Set([...contents, "filename", "contentType"]);

function partOf(pointer: string, name: string, value: Json): Part {
  if (typeof value !== "object" || value === null) {
    return { name, filename: undefined, contentType: undefined, content: Buffer.from(scalarText(pointer, value)) };
  }
  const fields = objectOf(pointer, value);
  const given = contents.filter((key) => fields[key] !== undefined);
  const [kind, other] = given;
  if (kind === undefined || other !== undefined || Object.keys(fields).some((key) => !partKeys.has(key)))
    throw new RequestFault(
      pointer,
      `${nameOf(pointer)} must have one of text, json and base64, and may have filename and contentType`,
      'Give text alone, or an object such as { base64: "...", filename: "a.png", contentType: "image/png" }.',
    );
  const filename = isGiven(fields["filename"]) ? textOf(pointerTo(pointer, "filename"), fields["filename"]) : undefined;
  const typeAt = pointerTo(pointer, "contentType");
  const named = isGiven(fields["contentType"]) ? headerValue(typeAt, textOf(typeAt, fields["contentType"])) : undefined;
  return { name, filename, contentType: named ?? usualType(kind, filename), content: contentOf(pointer, kind, fields) };
}

function usualType(kind: (typeof contents)[number], filename: string | undefined): string | undefined {
  if (kind === "json") return "application/json";
  if (kind === "base64") return "application/octet-stream";
  return filename === undefined ? undefined : "text/plain; charset=utf-8";
}

function contentOf(pointer: string, kind: (typeof contents)[number], fields: JsonObject): Uint8Array {
  const at = pointerTo(pointer, kind);
  if (kind === "json") return Buffer.from(JSON.stringify(fields["json"]));
  return kind === "base64" ? bytesOf(at, fields["base64"]) : Buffer.from(scalarText(at, fields["text"] ?? null));
}
