import type { Json } from "@longhaul/core";
import { type JsonObject, setOwn } from "../../expression/cel-value.ts";

const secretEnd = /(token|secret|password|passwd|authorization|cookie|signature|credentials?|api[-_.]?key|callback-url)$/i;

/** True for the name of a header, parameter or form field that by custom carries a credential. */
export function isSecretName(name: string): boolean {
  return secretEnd.test(name);
}

export const redacted = "[redacted]";

/**
 * An evaluated `with` for the record: without what `auth` holds, without user and password in `url`, and without headers, parameters and form
 * fields whose names say that they carry a credential.
 */
export function redactInput(input: Json): Json {
  if (!isObject(input)) return input;
  const copy: Record<string, Json> = {};
  for (const [key, value] of Object.entries(input)) setOwn(copy, key, redactField(key, value));
  return copy;
}

function redactField(key: string, value: Json): Json {
  switch (key) {
    case "url":
      return typeof value === "string" ? redactUrl(value) : value;
    case "auth":
      return redactAuth(value);
    case "headers":
    case "query":
    case "form":
      return redactNamed(value);
    default:
      return value;
  }
}

function redactUrl(url: string): string {
  return url
    .replace(/\/\/[^/?#]*@/, `//${redacted}@`)
    .replace(/([?&])([^=&#]*)=([^&#]*)/g, (whole, mark: string, name: string) =>
      isSecretName(name) ? `${mark}${name}=${redacted}` : whole,
    );
}

/** Names stay, so that a reader sees which form was used; everything else goes. */
function redactAuth(value: Json): Json {
  if (!isObject(value)) return value === null ? null : redacted;
  const copy: Record<string, Json> = {};
  for (const [key, inner] of Object.entries(value))
    setOwn(copy, key, key === "name" && typeof inner === "string" ? inner : redactAuth(inner));
  return copy;
}

function redactNamed(value: Json): Json {
  if (!isObject(value)) return value;
  const copy: Record<string, Json> = {};
  for (const [name, inner] of Object.entries(value)) setOwn(copy, name, isSecretName(name) && inner !== null ? redacted : inner);
  return copy;
}

function isObject(value: Json): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
