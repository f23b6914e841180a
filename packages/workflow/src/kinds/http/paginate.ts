import type { Json, OutboundResponse } from "@longhaul/core";
import { operationKey } from "../../engine/operation-key.ts";
import { type NodeContext, NodeFailure } from "../kind.ts";
import type { Call, Plan } from "./build-request.ts";
import { decodeBody } from "./decode-body.ts";
import { type Budget, exchange } from "./exchange.ts";
import { isGiven, objectOf } from "./field-values.ts";
import { linksOf } from "./link-header.ts";
import { RequestFault } from "./request-fault.ts";
import { httpUrl, withQuery } from "./request-url.ts";

const nextPointer = "/paginate/next";
const itemsPointer = "/paginate/items";

/** The parts of `with` that are evaluated once per page, with the answer as `response`. */
export const pageExpressions = [nextPointer, itemsPointer] as const;

/** What those expressions see as `response`. */
interface Page {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Json;
  /** Targets of the `Link` header by relation. */
  readonly links: Readonly<Record<string, string>>;
}

/**
 * Reads page after page until `next` names no other, or `maxPages` are read. The output has the items of all pages as `body`, status and
 * headers of the last one, and says whether more would have followed.
 */
export async function readPages(context: NodeContext, plan: Plan, maxPages: number): Promise<Json> {
  const budget: Budget = { leftMs: context.timeoutMs };
  const items: Json[] = [];
  let { call } = plan;
  let leftBytes = plan.maxBytes;
  for (let pages = 1; ; pages++) {
    const answer = await exchangePage(context, plan, withPageKey(context, call, pages), budget, leftBytes);
    leftBytes -= answer.body.length;
    const { status, headers } = answer;
    const page: Page = { status, headers, body: decodeBody(answer, plan.parse), links: linksOf(headers["link"]) };
    for (const item of await itemsOf(context, page, pages)) items.push(item);
    context.progress({ pages, items: items.length });
    const next = nextCall(call, await context.evaluate(nextPointer, { response: { ...page } }), pages);
    if (next === undefined || pages === maxPages) return { status, headers, body: items, pages, more: next !== undefined };
    call = next;
  }
}

async function exchangePage(
  context: NodeContext,
  plan: Plan,
  call: Call,
  budget: Budget,
  leftBytes: number,
): Promise<OutboundResponse> {
  try {
    return await exchange(context, plan, call, budget, leftBytes);
  } catch (error) {
    if (!(error instanceof NodeFailure) || error.code !== "http_response_too_large") throw error;
    const message = `the pages are together larger than ${plan.maxBytes} bytes`;
    throw new NodeFailure(error.code, message, { retryable: false, sent: "yes", cause: error });
  }
}

/** Each page is a call of its own: a service that honours the key would answer the first page again. A key of the author stays. */
function withPageKey({ operationKey: key }: NodeContext, call: Call, page: number): Call {
  if (page === 1 || call.headers["idempotency-key"] !== key) return call;
  return { ...call, headers: { ...call.headers, "idempotency-key": operationKey(key, `page ${page}`) } };
}

async function itemsOf(context: NodeContext, page: Page, number: number): Promise<readonly Json[]> {
  const chosen = await context.evaluate(itemsPointer, { response: { ...page } });
  const items = chosen === undefined ? page.body : chosen;
  if (Array.isArray(items)) return items as readonly Json[];
  const what = items === null ? "null" : `of type ${typeof items}`;
  throw badPage(`the items of page ${number} must be a list, but they are ${what}`, itemsPointer);
}

/** The request of the next page; undefined where `next` names none. */
function nextCall(call: Call, next: Json | undefined, page: number): Call | undefined {
  if (!isGiven(next) || next === "" || next === false) return undefined;
  try {
    const following = followingCall(call, next);
    if (following.url !== call.url || following.body !== call.body) return following;
  } catch (error) {
    if (!(error instanceof RequestFault)) throw error;
    throw badPage(`after page ${page}, paginate.next gives no request: ${error.message}`, nextPointer);
  }
  throw badPage(`the page after page ${page} is that page itself`, nextPointer);
}

/** `next` is a URL, which may be relative to the page, or says what changes in the request. Throws RequestFault. */
function followingCall(call: Call, next: Json): Call {
  if (typeof next === "string") return { ...call, url: httpUrl("", next, call.url).href };
  const { url, query, json, ...others } = objectOf("/next", next);
  const unknown = Object.keys(others)[0];
  if (unknown !== undefined || (url === undefined && query === undefined && json === undefined))
    throw new RequestFault("", "it must be a URL, or an object with url, query or json", "");
  const base = isGiven(url) ? httpUrl("", url, call.url).href : call.url;
  return {
    ...call,
    url: isGiven(query) ? withQuery("/query", base, query) : base,
    ...(json === undefined
      ? {}
      : { headers: { ...call.headers, "content-type": "application/json" }, body: JSON.stringify(json) }),
  };
}

function badPage(message: string, pointer: string): NodeFailure {
  return new NodeFailure("http_pagination", message, { retryable: false, sent: "yes", details: { pointer: `/with${pointer}` } });
}
