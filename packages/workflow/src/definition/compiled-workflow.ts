import type { FieldFault, Json, RetryRule } from "@longhaul/core";
import type { JsonObject } from "../expression/cel-value.ts";
import type { CompiledTemplate } from "../expression/template.ts";
import type { NodeKind } from "../kinds/kind.ts";
import type { SecretUse } from "./secret-uses.ts";

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
  /** The parts of `with` that its kind evaluates itself, by pointer below `with`; they are not in `input`. */
  readonly deferred: ReadonlyMap<string, CompiledTemplate>;
  /** Time of one try; Infinity for none. */
  readonly timeoutMs: number;
  readonly retry: RetryRule;
  /** True when another node goes on after its failure, so that the failure is not the task's. */
  readonly failureHandled: boolean;
  /** Ids of everything before it: what its expressions may see. */
  readonly ancestors: ReadonlySet<string>;
  /** True when an expression of it uses `nodes` or `errors` as a whole, so that they must be cut down to its ancestors. */
  readonly seesAll: boolean;
  /** How long a wait without an end of its own may last: `timeout` where the definition gives it, else Infinity. */
  readonly waitMs: number;
  /** The only codes of failures that are tried again; undefined where the kind decides. */
  readonly retryOn: ReadonlySet<string> | undefined;
  /** What a failure is turned into; undefined where the node fails. Without `output` it is null. */
  readonly onError: { readonly output: CompiledTemplate | undefined } | undefined;
  /** What to do about a call that was sent and whose answer was not seen. */
  readonly onUnknown: "retry" | "fail" | "ask";
  /** How its result is kept; `scope` tells its results from those of other nodes. */
  readonly cache: { readonly key: CompiledTemplate; readonly ttlMs: number; readonly scope: string } | undefined;
  /** True when its input and output are to be stored sealed and shown to nobody. */
  readonly secret: boolean;
  /** True when what it says in failures, logs and progress may hold secret values: it is secret itself, or sees what is. */
  readonly withholds: boolean;
  /** The graph of a `foreach`, run once per item. */
  readonly inner: CompiledGraph | undefined;
  /** As in the definition. */
  readonly definition: JsonObject;
}

/** Nodes that need each other, and what comes out of them. */
export interface CompiledGraph {
  /** In an order in which every node comes after what it needs. */
  readonly nodes: readonly CompiledNode[];
  /** The graph's output; undefined where the definition gives none and the outputs of the leaves are it. */
  readonly output: CompiledTemplate | undefined;
  /** True when a failure of `output` may hold secret values. */
  readonly outputWithholds: boolean;
  /** Ids of the nodes that no other needs. */
  readonly leaves: readonly string[];
}

export interface WorkflowLimits {
  /** Tasks of this workflow side by side. */
  readonly concurrency?: number;
  /** Names of limits that count its tasks too. */
  readonly keys?: readonly string[];
  /** From submit to the end of the task. */
  readonly deadlineMs?: number;
  /** Language model tokens per task. */
  readonly tokens?: number;
  /** Calls to the outside per task. */
  readonly calls?: number;
  /** Nodes that a task may run, items of `foreach` nodes counted each. */
  readonly nodeRuns?: number;
  /** Time that executors may spend on a task. */
  readonly wallTimeMs?: number;
  /** What happens at a ceiling of tokens, calls, nodeRuns or wallTime; `fail` if not given. */
  readonly onExceeded?: "fail" | "ask";
}

/** A revision of a workflow, checked and compiled; keep it as long as the revision is in use. */
export interface CompiledWorkflow extends CompiledGraph {
  readonly name: string;
  readonly description: string;
  readonly definition: Json;
  readonly limits: WorkflowLimits;
  /** False when a node's kind forbids asynchronous calls. */
  readonly supportsAsync: boolean;
  /** The nodes that forbid them, those of a `foreach` as `each[].call`. */
  readonly asyncForbiddenBy: readonly string[];
  /** The secrets that its expressions mention, and where. */
  readonly secrets: readonly SecretUse[];
  /** What is wrong with a task's input, with pointers below `/input`; empty where nothing is. Never throws, never runs long. */
  validateInput(input: Json): readonly FieldFault[];
}
