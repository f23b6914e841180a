import type { FieldFault, Json, RetryRule } from "@longhaul/core";
import type { CompiledTemplate } from "../expression/template.ts";
import type { NodeKind } from "../kinds/kind.ts";

/** An edge of the graph: the node before, and which outcome of it leads on. */
export interface Need {
  readonly node: string;
  readonly on: "succeeded" | "failed";
}

/** A node, ready to run. */
export interface CompiledNode {
  readonly id: string;
  /** Its place in `CompiledWorkflow.nodes`. */
  readonly index: number;
  readonly kind: NodeKind;
  readonly needs: readonly Need[];
  /** Places of the nodes that need this one. */
  readonly successors: readonly number[];
  readonly when: CompiledTemplate | undefined;
  readonly input: CompiledTemplate;
  /** Time of one try; Infinity for none. */
  readonly timeoutMs: number;
  readonly retry: RetryRule;
  /** True when another node goes on after its failure, so that the failure is not the task's. */
  readonly failureHandled: boolean;
  /** Ids of everything before it: what its expressions may see. */
  readonly ancestors: ReadonlySet<string>;
  /** True when an expression of it uses `nodes` or `errors` as a whole, so that they must be cut down to its ancestors. */
  readonly seesAll: boolean;
}

export interface WorkflowLimits {
  /** Tasks of this workflow side by side. */
  readonly concurrency?: number;
  /** From submit to the end of the task. */
  readonly deadlineMs?: number;
  /** Language model tokens per task. */
  readonly tokens?: number;
}

/** A revision of a workflow, checked and compiled; keep it as long as the revision is in use. */
export interface CompiledWorkflow {
  readonly name: string;
  readonly description: string;
  readonly definition: Json;
  /** In an order in which every node comes after what it needs. */
  readonly nodes: readonly CompiledNode[];
  readonly limits: WorkflowLimits;
  /** The task's output; undefined where the definition gives none and the outputs of the leaves are it. */
  readonly output: CompiledTemplate | undefined;
  /** Ids of the nodes that no other needs. */
  readonly leaves: readonly string[];
  /** False when a node's kind forbids asynchronous calls. */
  readonly supportsAsync: boolean;
  /** Ids of the nodes that forbid them. */
  readonly asyncForbiddenBy: readonly string[];
  /** What is wrong with a task's input, with pointers below `/input`; empty where nothing is. Never throws, never runs long. */
  validateInput(input: Json): readonly FieldFault[];
}
