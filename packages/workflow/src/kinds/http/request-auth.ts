import type { Json } from "@longhaul/core";
import { isGiven, objectOf, textOf } from "./field-values.ts";
import { headerName, headerValue } from "./header-fields.ts";
import { RequestFault } from "./request-fault.ts";

/** What `auth` adds to a request. */
export interface RequestAuth {
  readonly header?: readonly [name: string, value: string];
  readonly query?: readonly [name: string, value: string];
  /** Every form in which its secret is sent. */
  readonly secrets: readonly string[];
}

export const authForms = ["basic", "bearer", "header", "query"] as const;

/** Reads `auth`; undefined where there is none. Throws RequestFault. */
export function requestAuth(value: Json | undefined): RequestAuth | undefined {
  if (!isGiven(value)) return undefined;
  const forms = objectOf("/auth", value);
  const given = authForms.filter((form) => isGiven(forms[form]));
  const unknown = Object.keys(forms).find((key) => !authForms.some((form) => form === key));
  const [form, other] = given;
  if (form === undefined || other !== undefined || unknown !== undefined)
    throw new RequestFault(
      "/auth",
      `auth must have exactly one of ${authForms.join(", ")}`,
      "Give one, such as auth: { bearer: token }.",
    );
  switch (form) {
    case "basic":
      return basic(forms["basic"]);
    case "bearer":
      return bearer(textOf("/auth/bearer", forms["bearer"]));
    case "header":
      return ownHeader(forms["header"]);
    case "query":
      return queryParameter(forms["query"]);
  }
}

function basic(value: Json | undefined): RequestAuth {
  const fields = objectOf("/auth/basic", value);
  const username = textOf("/auth/basic/username", fields["username"]);
  const password = isGiven(fields["password"]) ? textOf("/auth/basic/password", fields["password"]) : "";
  if (username.includes(":"))
    throw new RequestFault(
      "/auth/basic/username",
      "a username of basic authentication cannot have a colon",
      "Put what follows the colon into password.",
    );
  const pair = Buffer.from(`${username}:${password}`).toString("base64");
  // An account's key is often the username, with an empty password.
  return { header: ["authorization", `Basic ${pair}`], secrets: [pair, password === "" ? username : password] };
}

function bearer(token: string): RequestAuth {
  if (token.trim() === "") throw new RequestFault("/auth/bearer", "auth.bearer is empty", "Give the token.");
  return { header: ["authorization", `Bearer ${headerValue("/auth/bearer", token)}`], secrets: [token] };
}

function ownHeader(value: Json | undefined): RequestAuth {
  const fields = objectOf("/auth/header", value);
  const name = headerName("/auth/header/name", textOf("/auth/header/name", fields["name"]));
  const text = headerValue("/auth/header/value", textOf("/auth/header/value", fields["value"]));
  return { header: [name, text], secrets: [text] };
}

function queryParameter(value: Json | undefined): RequestAuth {
  const fields = objectOf("/auth/query", value);
  const name = textOf("/auth/query/name", fields["name"]);
  const text = textOf("/auth/query/value", fields["value"]);
  if (name === "") throw new RequestFault("/auth/query/name", "auth.query.name is empty", "Give the parameter's name.");
  return {
    query: [name, text],
    secrets: [text, encodeURIComponent(text), new URLSearchParams([["", text]]).toString().slice(1)],
  };
}
