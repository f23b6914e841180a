import type { Json } from "@longhaul/core";
import type { JsonObject } from "../../expression/cel-value.ts";
import { bytesOf, isGiven, pairsOf } from "./field-values.ts";
import { multipart } from "./multipart.ts";
import { RequestFault } from "./request-fault.ts";

/** The fields of which a request has one. */
export const bodyFields = ["json", "form", "multipart", "body", "bodyBase64"] as const;
export type BodyField = (typeof bodyFields)[number];

export interface RequestBody {
  readonly type: string | undefined;
  readonly body: string | Uint8Array;
}

/** What is sent, and as what; undefined where nothing is. Throws RequestFault. */
export function requestBody(fields: JsonObject, operationKey: string): RequestBody | undefined {
  // A null is JSON like any other value; of the other fields it is none.
  const [field, other] = bodyFields.filter((each) => (each === "json" ? fields[each] !== undefined : isGiven(fields[each])));
  if (other !== undefined)
    throw new RequestFault(
      `/${other}`,
      `${field} and ${other} are given, but a request has one body`,
      `Keep one of ${field} and ${other}.`,
    );
  return field === undefined ? undefined : bodyOf(field, fields[field] ?? null, operationKey);
}

/** The body that one field gives. */
export function bodyOf(field: BodyField, value: Json, operationKey: string): RequestBody {
  switch (field) {
    case "json":
      return { type: "application/json", body: JSON.stringify(value) };
    case "form":
      return { type: "application/x-www-form-urlencoded", body: formText(value) };
    case "multipart":
      return multipart(value, operationKey);
    case "body":
      if (typeof value === "string") return { type: undefined, body: value };
      throw new RequestFault("/body", "body must be text", "Use json to send other values, bodyBase64 to send bytes.");
    case "bodyBase64":
      return { type: undefined, body: bytesOf("/bodyBase64", value) };
  }
}

function formText(form: Json): string {
  const text = new URLSearchParams();
  for (const [name, value] of pairsOf("/form", form)) text.append(name, value);
  return text.toString();
}
