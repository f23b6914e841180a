import type { Json } from "@longhaul/core";
import { durationMs } from "../../definition/duration.ts";
import { type JsonObject, setOwn } from "../../expression/cel-value.ts";
import { isGiven, objectOf, textOf } from "./field-values.ts";
import { headerName } from "./header-fields.ts";
import { RequestFault } from "./request-fault.ts";

/** How the called system gets to know where to report, and how long it may take. */
export interface AsyncCall {
  readonly timeoutMs: number;
  readonly urlIn: UrlPlace;
}

const places = ["header", "query", "form", "json"] as const;

/** One of a header's name, a parameter's, a form field's, and the JSON pointer of a key in the body. */
type UrlPlace = { readonly [place in (typeof places)[number]]?: string };

/** The header that carries the callback URL when `urlIn` names no other place. */
export const callbackHeader = "longhaul-callback-url";

/** Reads `async`; undefined where the answer itself is the result. Throws RequestFault. */
export function asyncCall(value: Json | undefined): AsyncCall | undefined {
  if (!isGiven(value)) return undefined;
  const { timeout, urlIn } = objectOf("/async", value);
  const timeoutMs = durationMs(textOf("/async/timeout", timeout));
  if (timeoutMs === undefined || timeoutMs === 0)
    throw new RequestFault(
      "/async/timeout",
      "async.timeout must be a duration of at most 366 days",
      "Give one such as 30s, 15m or 2d.",
    );
  return { timeoutMs, urlIn: isGiven(urlIn) ? placeOf(objectOf("/async/urlIn", urlIn)) : { header: callbackHeader } };
}

function placeOf(urlIn: JsonObject): UrlPlace {
  const [place, other] = places.filter((each) => isGiven(urlIn[each]));
  if (place === undefined || other !== undefined || Object.keys(urlIn).some((key) => !places.some((each) => each === key)))
    throw new RequestFault(
      "/async/urlIn",
      `async.urlIn must have exactly one of ${places.join(", ")}`,
      'Give one, such as urlIn: { json: "/webhook" }.',
    );
  const at = `/async/urlIn/${place}`;
  const name = textOf(at, urlIn[place]);
  if (place === "header") return { header: headerName(at, name) };
  if (place === "json" && !/^(\/([^~/]|~[01])+)+$/.test(name))
    throw new RequestFault(at, "async.urlIn.json must be a JSON pointer to a key of the body", "Write it such as /webhook/url.");
  if (name === "") throw new RequestFault(at, `async.urlIn.${place} is empty`, "Give the name that the service expects.");
  return { [place]: name };
}

/** The same `with` with the URL where the called system looks for it. Throws RequestFault. */
export function withCallbackUrl(fields: JsonObject, { header, query, form, json }: UrlPlace, url: string): JsonObject {
  const named = (field: string, name: string): JsonObject => {
    const given = isGiven(fields[field]) ? objectOf(`/${field}`, fields[field]) : {};
    return { ...fields, [field]: withKey(given, [name], url) };
  };
  if (header !== undefined) return named("headers", header);
  if (query !== undefined) return named("query", query);
  if (form !== undefined) return named("form", form);
  const keys = (json ?? "").slice(1).split("/");
  const unescaped = keys.map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
  return { ...fields, json: withKey(fields["json"], unescaped, url) };
}

function withKey(value: Json | undefined, [key = "", ...keys]: readonly string[], url: string): Json {
  if (isGiven(value) && (typeof value !== "object" || Array.isArray(value)))
    throw new RequestFault(
      "/async/urlIn/json",
      "async.urlIn.json leads through a value of json that is no object",
      "Point to a key of an object, such as /webhook.",
    );
  const copy: Record<string, Json> = {};
  const object = isGiven(value) ? objectOf("/json", value) : {};
  for (const [name, item] of Object.entries(object)) setOwn(copy, name, item);
  setOwn(copy, key, keys.length === 0 ? url : withKey(Object.hasOwn(object, key) ? object[key] : undefined, keys, url));
  return copy;
}
