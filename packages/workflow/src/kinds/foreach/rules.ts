import type { Json } from "@longhaul/core";
import { objectOf } from "../../expression/json-object.ts";
import { NodeFailure } from "../kind.ts";

/** Most items of one node. */
export const maxItems = 100_000;
/** Most items side by side, and how many where the definition does not say. */
export const maxItemsAtOnce = 1_000;
const usualItemsAtOnce = 10;

export interface ForeachRules {
  readonly items: readonly Json[];
  /** A further name for `item`. */
  readonly as: string | undefined;
  readonly concurrency: number;
  readonly onItemError: "stop" | "continue" | "collect";
}

/** Reads an evaluated `with`; throws NodeFailure where it names no list, or too long a one. */
export function readForeach(input: Json): ForeachRules {
  const { items, as, concurrency = usualItemsAtOnce, onItemError } = objectOf(input);
  if (!Array.isArray(items))
    throw wrong(`items must be a list, but it is ${items === null ? "null" : typeof items}`, "/with/items");
  if (items.length > maxItems) throw wrong(`there are ${items.length} items; at most ${maxItems} are allowed`, "/with/items");
  if (typeof concurrency !== "number" || !(concurrency >= 1))
    throw wrong("concurrency must be a number of at least 1", "/with/concurrency");
  return {
    items,
    as: typeof as === "string" ? as : undefined,
    concurrency: Math.min(maxItemsAtOnce, Math.floor(concurrency)),
    onItemError: onItemError === "continue" || onItemError === "collect" ? onItemError : "stop",
  };
}

function wrong(message: string, pointer: string): NodeFailure {
  return new NodeFailure("invalid_items", message, { retryable: false, sent: "no", details: { pointer } });
}
