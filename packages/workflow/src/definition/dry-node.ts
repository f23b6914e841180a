import type { DefinitionFault, Json } from "@longhaul/core";
import type { CompiledNode } from "./compiled-workflow.ts";
import type { DryEvaluation, Unevaluated } from "./dry-values.ts";

/** What a node would do. */
export interface DryNode {
  /** Address of the node, `each[3].summary` inside of a foreach. */
  readonly path: string;
  readonly kind: string;
  /** `would_fail` where one of its expressions fails, or its kind says so; `not_evaluated` where it is not known whether it would run. */
  readonly state: "would_run" | "would_fail" | "skipped" | "not_evaluated";
  /** Why it is skipped, fails or is not evaluated, in a sentence; empty where it would run. */
  readonly why: string;
  /** Its `with`, evaluated, with null in place of what is not known; absent where it is large, or was not looked at. */
  readonly with?: Json;
  /** Its output, where that was computed and is not large; with null in place of what is not known. */
  readonly output?: Json;
  /** Where its output comes from: the sample, the run, or nowhere. */
  readonly outputFrom: "recorded" | "computed" | "unknown";
  readonly errors: readonly DefinitionFault[];
  /** Expressions that were not evaluated. */
  readonly notEvaluated: readonly Unevaluated[];
}

/** What all graphs of one dry run share. */
export interface DryTask {
  readonly run: DryEvaluation;
  readonly recorded: ReadonlyMap<string, Json>;
  readonly nowMs: number;
  readonly signal: AbortSignal;
  readonly list: DryList;
  /** Why the walk ended early; empty where it did not. */
  stopped: string;
}

/** Most nodes that are listed, items of foreach nodes counted each. */
const maxListed = 2_000;
/** Largest value that is shown, and all shown values together, in characters of JSON. */
const maxShown = 64 * 1024;
const maxShownInAll = 2 * 1024 * 1024;
/** Levels of a shown value: an answer as a whole has at most 64. */
const maxShownDepth = 50;

/** The nodes of a dry run as they are answered: bounded in number and size. */
export class DryList {
  readonly nodes: DryNode[] = [];
  /** How many nodes are not listed. */
  omitted = 0;
  /** True as long as every expression was evaluated and none failed. */
  isComplete = true;
  private left = maxShownInAll;

  /** Keeps a node's place; what is inside of it comes behind it. */
  reserve(node: DryNode): number {
    if (this.nodes.length < maxListed) return this.nodes.push(node) - 1;
    this.omitted++;
    return -1;
  }

  fill(at: number, node: DryNode): void {
    if (node.state === "not_evaluated" || node.errors.length > 0 || node.notEvaluated.length > 0) this.isComplete = false;
    if (at >= 0) this.nodes[at] = node;
  }

  /** The value under the name, if there is room to show it. */
  shown<Name extends "with" | "output">(name: Name, node: CompiledNode, value: Json): { readonly [key in Name]?: Json } {
    if (node.secret || isDeeper(value, maxShownDepth)) return {};
    const size = JSON.stringify(value).length;
    if (size > maxShown || size > this.left) return {};
    this.left -= size;
    const found: { [key in Name]?: Json } = {};
    found[name] = value;
    return found;
  }
}

function isDeeper(value: Json, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((item) => isDeeper(item, levels - 1));
}
