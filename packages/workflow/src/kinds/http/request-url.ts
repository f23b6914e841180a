import type { Json } from "@longhaul/core";
import { isGiven, pairsOf } from "./field-values.ts";
import { RequestFault } from "./request-fault.ts";

/** The address to call, with what `query` adds. Throws RequestFault. */
export function requestUrl(value: Json | undefined, query: Json | undefined): string {
  const url = httpUrl("/url", value);
  if (isGiven(query)) for (const [name, text] of pairsOf("/query", query)) url.searchParams.append(name, text);
  return url.href;
}

/** An absolute http or https URL without user, password and fragment; relative to `base` where there is one. Throws RequestFault. */
export function httpUrl(pointer: string, value: Json | undefined, base?: string): URL {
  const url = typeof value === "string" && URL.canParse(value, base) ? new URL(value, base) : undefined;
  if (url === undefined || (url.protocol !== "http:" && url.protocol !== "https:"))
    throw new RequestFault(
      pointer,
      "url must be an absolute http or https URL",
      "Write it in full, such as https://api.example/items.",
    );
  if (url.username !== "" || url.password !== "")
    throw new RequestFault(
      pointer,
      "url must not hold a user or password",
      "Use auth: { basic: { username, password } } instead.",
    );
  if (base !== undefined) url.hash = "";
  return url;
}

/** The same URL with each parameter replaced; a list repeats its parameter, null removes it. Throws RequestFault. */
export function withQuery(pointer: string, text: string, query: Json): string {
  const url = new URL(text);
  const pairs = pairsOf(pointer, query);
  for (const name of Object.keys(query ?? {})) url.searchParams.delete(name);
  for (const [name, value] of pairs) url.searchParams.append(name, value);
  return url.href;
}
