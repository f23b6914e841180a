import type { Json } from "@longhaul/core";
import { type JsonObject, setOwn } from "../../../expression/cel-value.ts";
import { isObject, objectAt, objectsAt, own, textAt } from "../loose-fields.ts";
import { type Piece, plainText, textOf, wrapped } from "../template-text.ts";
import { added, isDynamicName, linesOf } from "./form-lines.ts";
import type { NodeImport } from "./node-import.ts";

/** What the body of a request becomes: fields of `with`, and headers that go with it. */
export interface RequestBody {
  readonly fields: JsonObject;
  readonly headers: JsonObject;
}

const none: RequestBody = { fields: {}, headers: {} };

/** The body of an http-request node. */
export function requestBody(it: NodeImport): RequestBody {
  const body = objectAt(it.data, "body");
  const type = textAt(body, "type", "none");
  switch (type) {
    case "none":
    case "":
      return none;
    case "json":
      return jsonBody(it, textOfData(body));
    case "raw-text":
    case "raw":
      it.findings.keep("body");
      return { fields: { body: it.references.text(textOfData(body)) }, headers: { "content-type": "text/plain" } };
    case "x-www-form-urlencoded":
      return { fields: { form: formOf(it, body) }, headers: {} };
    case "form-data":
      return { fields: { multipart: formOf(it, body) }, headers: {} };
    default:
      it.findings.lose(`body of type ${type.slice(0, 40)}`, "files of a run are not at hand", "Send the bytes with bodyBase64.");
      return none;
  }
}

/** Until 0.1.x the data was one text, then a list with one entry. */
function textOfData(body: JsonObject): string {
  const [first] = objectsAt(body, "data");
  return first === undefined ? textAt(body, "data") : textAt(first, "value");
}

function formOf(it: NodeImport, body: JsonObject): JsonObject {
  const { references, findings } = it;
  const form: Record<string, Json> = {};
  const listed = objectsAt(body, "data");
  const entries: readonly JsonObject[] =
    listed.length > 0 ? listed : linesOf(textAt(body, "data")).map(([key, value]) => ({ key, value, type: "text" }));
  for (const entry of entries) {
    const key = textAt(entry, "key");
    if (key === "" || isDynamicName(key, "field", it)) continue;
    if (textAt(entry, "type", "text") === "file")
      findings.lose(
        `file field ${key.slice(0, 80)}`,
        "files of a run are not at hand",
        "Send the bytes as { base64, filename, contentType }.",
      );
    else setOwn(form, key, added(own(form, key), references.text(textAt(entry, "value"))));
  }
  findings.keep("body");
  return form;
}

const mark = /\uE000(\d+)\uE001/g;

/** JSON with references in it, as JSON with expressions in it; where it is no JSON before they are filled in, as text. */
function jsonBody(it: NodeImport, source: string): RequestBody {
  const { findings, references } = it;
  if (source.trim() === "") return none;
  const pieces = references.pieces(source.replaceAll(/[\uE000\uE001]/g, ""));
  try {
    const value: Json = JSON.parse(markedText(pieces));
    findings.keep("body");
    if (pieces.some((piece) => "expression" in piece))
      findings.change("JSON body", "values are put in as JSON, so quotes in them no longer break it", "Nothing, as a rule.");
    return { fields: { json: filledIn(value, pieces) }, headers: {} };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    findings.change(
      "JSON body",
      "it is no JSON before its variables are filled in, so it is sent as text",
      "Write it as json with expressions.",
    );
    return { fields: { body: references.text(source) }, headers: { "content-type": "application/json" } };
  }
}

/** The text with a mark for each expression; quoted where it stands outside of a string. */
function markedText(pieces: readonly Piece[]): string {
  let text = "";
  let inString = false;
  for (const [index, piece] of pieces.entries()) {
    if ("expression" in piece) {
      text += inString ? `\uE000${index}\uE001` : `"\uE000${index}\uE001"`;
      continue;
    }
    text += piece.text;
    for (let at = 0; at < piece.text.length; at++) {
      if (inString && piece.text[at] === "\\") at++;
      else if (piece.text[at] === '"') inString = !inString;
    }
  }
  return text;
}

function filledIn(value: Json, pieces: readonly Piece[]): Json {
  if (typeof value === "string") return filledText(value, pieces);
  if (Array.isArray(value)) return (value as readonly Json[]).map((item) => filledIn(item, pieces));
  if (!isObject(value)) return value;
  const copy: Record<string, Json> = {};
  for (const [key, item] of Object.entries(value)) setOwn(copy, key, filledIn(item, pieces));
  return copy;
}

function filledText(text: string, pieces: readonly Piece[]): string {
  if (!text.includes("\uE000")) return plainText(text);
  const found: Piece[] = [];
  let from = 0;
  for (const match of text.matchAll(mark)) {
    if (match.index > from) found.push({ text: text.slice(from, match.index) });
    from = match.index + match[0].length;
    found.push(pieces[Number(match[1])] ?? { text: "" });
  }
  if (from < text.length) found.push({ text: text.slice(from) });
  const [only] = found;
  return found.length === 1 && only !== undefined && "expression" in only ? wrapped(only.expression) : textOf(found);
}
