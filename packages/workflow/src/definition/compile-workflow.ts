import type { DefinitionFault, Json } from "@longhaul/core";
import { type JsonObject, setOwn } from "../expression/cel-value.ts";
import { maxExpressionText } from "../expression/template.ts";
import { assembleGraph, checkGraph, countNodes, draftGraph } from "./compile-graph.ts";
import { type CompileContext, checkDuration } from "./compile-node.ts";
import type { CompiledGraph, CompiledNode, CompiledWorkflow, WorkflowLimits } from "./compiled-workflow.ts";
import { durationMs } from "./duration.ts";
import { type Faults, faultList } from "./faults.ts";
import { checkInputSchema, inputValidator } from "./input-schema.ts";
import { maxSecrets, secretUses } from "./secret-uses.ts";
import { checkHead } from "./shape-faults.ts";
import { maxNodes } from "./workflow-schema.ts";

export type CompileResult =
  | { readonly ok: true; readonly workflow: CompiledWorkflow }
  | { readonly ok: false; readonly faults: readonly DefinitionFault[] };

const maxDepth = 64;

/**
 * Checks a definition and makes it ready to run. Reports every fault it can find at once, at most 100, each with the place, the node and
 * what to do. Pure and synchronous; takes about a millisecond for a small workflow.
 */
export function compileWorkflow(definition: unknown): CompileResult {
  const faults = faultList();
  const plain = plainJson(definition);
  if (plain === undefined) {
    faults.add("", "the definition is not JSON, or nested deeper than 64 levels", "Send an object with name and nodes.");
    return { ok: false, faults: faults.list };
  }
  const headFits = checkHead(plain, faults);
  if (typeof plain !== "object" || plain === null || Array.isArray(plain)) return { ok: false, faults: faults.list };
  const top = plain as JsonObject;
  checkLimits(top["limits"], faults);
  const input = top["input"];
  if (input !== undefined)
    for (const { pointer, message, mend } of checkInputSchema(input)) faults.add(`/input${pointer}`, message, mend);
  const listed = Array.isArray(top["nodes"]) ? (top["nodes"] as readonly Json[]) : [];
  const context: CompileContext = {
    faults,
    budget: { left: maxExpressionText },
    workflow: typeof top["name"] === "string" ? top["name"] : "",
    locals: [],
    prefix: "",
  };
  const graph = draftGraph(headFits || listed.length <= maxNodes ? top : { ...top, nodes: [] }, "", context);
  const count = countNodes(graph);
  if (count > maxNodes)
    faults.add("/nodes", `there are ${count} nodes, those inside of others included`, `Use at most ${maxNodes}.`);
  checkGraph(graph, faults);
  if (faults.list.length > 0) return { ok: false, faults: faults.list };
  const assembled = assembleGraph(graph, context.workflow);
  const secrets = new Set(secretUses(assembled).map(({ name }) => name)).size;
  if (secrets > maxSecrets)
    faults.add("/nodes", `the expressions use ${secrets} secrets`, `Use at most ${maxSecrets} in one workflow.`);
  return faults.list.length > 0 ? { ok: false, faults: faults.list } : { ok: true, workflow: assemble(top, assembled) };
}

/** The value, if it is JSON of a bearable depth; what callers hold may have been parsed by anything. */
function plainJson(value: unknown, depth = 0): Json | undefined {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined;
  if (typeof value !== "object" || depth >= maxDepth) return undefined;
  if (Array.isArray(value)) {
    const items = value.map((item) => plainJson(item, depth + 1));
    return items.every((item) => item !== undefined) ? items : undefined;
  }
  const copy: Record<string, Json> = {};
  for (const [key, item] of Object.entries(value)) {
    const plain = plainJson(item, depth + 1);
    if (plain === undefined) return undefined;
    setOwn(copy, key, plain);
  }
  return copy;
}

function checkLimits(limits: Json | undefined, faults: Faults): void {
  if (typeof limits !== "object" || limits === null || Array.isArray(limits)) return;
  for (const key of ["deadline", "wallTime"]) checkDuration((limits as JsonObject)[key], `/limits/${key}`, "", faults);
}

function assemble(top: JsonObject, graph: CompiledGraph): CompiledWorkflow {
  const asyncForbiddenBy = forbidding(graph.nodes, "");
  return {
    name: String(top["name"]),
    description: typeof top["description"] === "string" ? top["description"] : "",
    definition: top,
    limits: limitsOf(top["limits"]),
    supportsAsync: asyncForbiddenBy.length === 0,
    asyncForbiddenBy,
    secrets: secretUses(graph),
    validateInput: inputValidator(top["input"]),
    ...graph,
  };
}

function forbidding(nodes: readonly CompiledNode[], prefix: string): readonly string[] {
  return nodes.flatMap(({ id, kind, inner }) => [
    ...(kind.supportsAsync ? [] : [prefix + id]),
    ...(inner === undefined ? [] : forbidding(inner.nodes, `${prefix}${id}[].`)),
  ]);
}

function limitsOf(limits: Json | undefined): WorkflowLimits {
  if (typeof limits !== "object" || limits === null) return {};
  const { concurrency, keys, deadline, tokens, calls, nodeRuns, wallTime, onExceeded } = limits as JsonObject;
  const deadlineMs = typeof deadline === "string" ? durationMs(deadline) : undefined;
  const wallTimeMs = typeof wallTime === "string" ? durationMs(wallTime) : undefined;
  return {
    ...(typeof concurrency === "number" ? { concurrency } : {}),
    ...(Array.isArray(keys) ? { keys: keys.map(String) } : {}),
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
    ...(typeof tokens === "number" ? { tokens } : {}),
    ...(typeof calls === "number" ? { calls } : {}),
    ...(typeof nodeRuns === "number" ? { nodeRuns } : {}),
    ...(wallTimeMs === undefined ? {} : { wallTimeMs }),
    ...(onExceeded === "ask" ? { onExceeded } : {}),
  };
}
