import type { Json } from "@longhaul/core";
import { type JsonObject, setOwn } from "../../expression/cel-value.ts";
import type { KindProblem } from "../kind.ts";
import { asyncCall, withCallbackUrl } from "./async-call.ts";
import { maxResponseBytes, methodOf, mostPages, mostRedirects, parseOf } from "./build-request.ts";
import { isGiven, objectOf, pairsOf, wholeNumberOf } from "./field-values.ts";
import { headerFields } from "./header-fields.ts";
import { requestAuth } from "./request-auth.ts";
import { bodyFields, bodyOf } from "./request-body.ts";
import { RequestFault } from "./request-fault.ts";
import { httpUrl } from "./request-url.ts";
import { statusRules } from "./status-rules.ts";

/** What is wrong with a `with` as it is written, as far as it can be told before its expressions are evaluated. */
export function checkInput(input: Json): readonly KindProblem[] {
  if (typeof input !== "object" || input === null || Array.isArray(input)) return [];
  const fields = input as JsonObject;
  return [...checks(fields)].flatMap((check) => problemsOf(check));
}

function* checks(fields: JsonObject): Generator<() => void> {
  yield () => literal(fields["method"], methodOf);
  yield () => literal(fields["url"], (value) => httpUrl("/url", value));
  yield () => literal(fields["query"], (value) => pairsOf("/query", value));
  // Names are never expressions, so they can be judged beside values that are.
  yield () =>
    isGiven(fields["headers"]) && typeof fields["headers"] === "object" && headerFields(withoutExpressions(fields["headers"]));
  for (const field of bodyFields) {
    if (field !== "json") yield () => literal(fields[field], (value) => bodyOf(field, value, ""));
  }
  yield () => oneBody(fields);
  yield () => checkAuth(fields);
  yield () => literal(fields["acceptStatus"], (value) => statusRules(value, undefined));
  yield () => literal(fields["retryStatus"], (value) => statusRules(undefined, value));
  yield () => noStatusTwice(fields);
  yield () => literal(fields["parse"], parseOf);
  yield () => literal(fields["maxBytes"], (value) => wholeNumberOf("/maxBytes", value, 1, maxResponseBytes));
  yield () => literal(fields["followRedirects"], (value) => wholeNumberOf("/followRedirects", value, 0, mostRedirects));
  yield () => checkPaginate(fields);
  yield () => checkAsync(fields);
}

function problemsOf(check: () => void): readonly KindProblem[] {
  try {
    check();
    return [];
  } catch (error) {
    if (!(error instanceof RequestFault)) throw error;
    return [{ pointer: error.pointer, message: error.message, mend: error.mend }];
  }
}

function literal(value: Json | undefined, read: (value: Exclude<Json, null>) => unknown): void {
  if (isGiven(value) && !hasExpression(value)) read(value);
}

function hasExpression(value: Json): boolean {
  if (typeof value === "string") return value.includes("${");
  return typeof value === "object" && value !== null && Object.values(value).some(hasExpression);
}

function withoutExpressions(value: Json): Json {
  if (Array.isArray(value)) return value;
  const copy: Record<string, Json> = {};
  for (const [key, item] of Object.entries(objectOf("/headers", value))) setOwn(copy, key, hasExpression(item) ? "" : item);
  return copy;
}

function oneBody(fields: JsonObject): void {
  const given = bodyFields.filter((field) => Object.hasOwn(fields, field));
  if (given.length < 2) return;
  throw new RequestFault(
    `/${given[1]}`,
    `${given.join(" and ")} are given, but a request has one body`,
    `Keep one of ${given.join(", ")}.`,
  );
}

function checkAuth({ auth, headers }: JsonObject): void {
  if (!isGiven(auth) || typeof auth !== "object") return;
  // Values may be expressions; which forms there are, and the names, may not.
  const read = hasExpression(auth) ? authShape(objectOf("/auth", auth)) : requestAuth(auth)?.header?.[0];
  if (read === undefined || !isGiven(headers) || typeof headers !== "object") return;
  const given = Object.entries(objectOf("/headers", headers)).find(
    ([name, value]) => name.toLowerCase() === read && value !== null,
  );
  if (given !== undefined)
    throw new RequestFault(`/headers/${given[0]}`, `the header ${read} is given, and auth sets it too`, "Keep one of them.");
}

/** The header that an `auth` with expressions will set, if that can be told. */
function authShape(auth: JsonObject): string | undefined {
  const [only, ...others] = Object.entries(auth);
  // A form that is one expression may yet have any shape; a token is a text anyway.
  if (only !== undefined && others.length === 0 && only[0] !== "bearer" && typeof only[1] === "string") return undefined;
  const read = requestAuth(standIn(auth))?.header?.[0];
  return read === unknownName ? undefined : read;
}

const unknownName = "x";

/** The same shape with a harmless text for every expression. */
function standIn(value: Json): Json {
  if (typeof value === "string") return hasExpression(value) ? unknownName : value;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const copy: Record<string, Json> = {};
  for (const [key, item] of Object.entries(value as JsonObject)) setOwn(copy, key, standIn(item));
  return copy;
}

function noStatusTwice({ acceptStatus, retryStatus }: JsonObject): void {
  if (!Array.isArray(acceptStatus) || !Array.isArray(retryStatus)) return;
  const accepted = new Set((acceptStatus as readonly Json[]).map(String));
  const index = (retryStatus as readonly Json[]).findIndex((status) => accepted.has(String(status)));
  if (index < 0) return;
  throw new RequestFault(
    `/retryStatus/${index}`,
    `${String(retryStatus[index])} is in acceptStatus too, but a status that succeeds is not tried again`,
    "Remove it from one of the lists.",
  );
}

function checkPaginate(fields: JsonObject): void {
  const { paginate, parse } = fields;
  if (!isGiven(paginate)) return;
  const { maxPages } = objectOf("/paginate", paginate);
  literal(maxPages, (value) => wholeNumberOf("/paginate/maxPages", value, 1, mostPages));
  if (parse === "none")
    throw new RequestFault("/parse", "parse none leaves nothing to paginate over", "Remove parse, or paginate.");
}

function checkAsync(fields: JsonObject): void {
  const { async: given, paginate } = fields;
  if (!isGiven(given)) return;
  if (isGiven(paginate))
    throw new RequestFault(
      "/paginate",
      "async and paginate are given, but a result that comes later has no pages",
      "Keep one of them.",
    );
  const fieldsOfAsync = objectOf("/async", given);
  const { timeout } = fieldsOfAsync;
  const fixed = timeout === undefined || !hasExpression(timeout) ? fieldsOfAsync : { ...fieldsOfAsync, timeout: "1s" };
  const urlIn = asyncCall(fixed)?.urlIn;
  if (urlIn?.json === undefined && urlIn?.form === undefined) return;
  // The place must be one of the body that is sent; an expression may yet give any.
  const body = bodyFields.find((field) => Object.hasOwn(fields, field));
  if (body === undefined || !hasExpression(fields[body] ?? null))
    oneBody(withCallbackUrl(fields, urlIn, "https://callback.invalid/"));
}
