import type { Json } from "@longhaul/core";
import type { Scope } from "../expression/scope.ts";
import { readForeach } from "../kinds/foreach/rules.ts";
import { NodeFailure } from "../kinds/kind.ts";
import type { DryEnd } from "./dry-graph.ts";
import type { DryResult } from "./dry-kind.ts";
import type { DryTask } from "./dry-node.ts";
import { defineUnknown } from "./dry-values.ts";

/** Items that a dry run goes through; of more, it says nothing. */
const maxItems = 100;

type ItemNames = Pick<Scope, "item" | "index" | "locals">;

/** Goes through the items of a foreach one after the other. `walk` walks its graph for one of them. */
export async function dryForeach(
  input: { readonly value: Json | undefined; readonly unknown: readonly { readonly why: string }[] },
  { recorded }: DryTask,
  path: string,
  walk: (prefix: string, names: ItemNames) => Promise<DryEnd>,
): Promise<DryResult> {
  const [open] = input.unknown;
  if (input.value === undefined || open !== undefined) return { kind: "unknown", why: open?.why ?? "its with is not known" };
  const rules = rulesOf(input.value);
  if (rules instanceof NodeFailure) return { kind: "failed", code: rules.code, message: rules.message };
  const { items, as, onItemError } = rules;
  const results: Json[] = [];
  const shown: Json[] = [];
  const errors: { readonly index: number; readonly error: Json }[] = [];
  for (const [index, item] of items.slice(0, maxItems).entries()) {
    const itemPath = `${path}[${index}]`;
    const known = recorded.get(itemPath);
    if (known !== undefined) {
      results.push(known);
      shown.push(known);
      continue;
    }
    const ended = await walk(`${itemPath}.`, { item, index, ...(as === undefined ? {} : { locals: { [as]: item } }) });
    const failure = failureOf(ended);
    if (failure !== undefined && onItemError === "stop")
      return { kind: "failed", code: failure.code, message: `item ${index}: ${failure.message}` };
    if (failure !== undefined) errors.push({ index, error: { ...failure, node: ended.failsAt, retryable: false } });
    shown.push(failure === undefined ? ended.output.shown : null);
    if (failure === undefined && ended.output.value === undefined)
      defineUnknown(results, index, ended.output.unknown[0]?.why ?? "its output is not known");
    else results[index] = failure === undefined ? (ended.output.value ?? null) : null;
  }
  const [first] = errors;
  if (onItemError === "collect" && first !== undefined)
    return { kind: "failed", code: "items_failed", message: `${errors.length} of ${items.length} items failed` };
  if (items.length > maxItems)
    return {
      kind: "unknown",
      why: `a dry run goes through the first ${maxItems} of the ${items.length} items of "${path}" only`,
    };
  return { kind: "output", output: { results, errors }, shown: { results: shown, errors } };
}

function rulesOf(input: Json): ReturnType<typeof readForeach> | NodeFailure {
  try {
    return readForeach(input);
  } catch (error) {
    if (error instanceof NodeFailure) return error;
    throw error;
  }
}

/** How an item failed: at one of its nodes, or in its output. */
function failureOf({ failsAt, code, message, output }: DryEnd): { readonly code: string; readonly message: string } | undefined {
  if (failsAt !== "") return { code, message };
  const [error] = output.errors;
  return error === undefined ? undefined : { code: "expression_error", message: error.message };
}
