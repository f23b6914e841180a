import type { Json } from "@longhaul/core";
import { type JsonObject, setOwn } from "../../expression/cel-value.ts";
import { durationText } from "./duration-text.ts";
import type { Findings } from "./import-report.ts";
import { literal } from "./literal-json.ts";
import { flagAt, isBlank, numberAt, objectAt, objectsAt, own, textAt } from "./loose-fields.ts";
import type { Entry } from "./scope-flow.ts";
import { celString, wrapped } from "./template-text.ts";

/** Keys of `data` that every type has, or that only the editor uses. */
const commonKeys: ReadonlySet<string> = new Set(
  (
    "type title desc version selected error_strategy default_value retry_config isInIteration isInLoop iteration_id loop_id " +
    "isIterationStart isLoopStart height width _children start_node_id position"
  ).split(" "),
);

/** Reports every key that says something and that nobody looked at. */
export function reportUnknown(data: JsonObject, keys: readonly string[], findings: Findings): void {
  for (const [key, value] of Object.entries(data)) {
    if (commonKeys.has(key) || key.startsWith("_") || keys.includes(key) || isBlank(value)) continue;
    findings.lose(key, "this import does not know the field", "Look it up in Dify, and say it in the definition if it matters.");
  }
}

/** `retry` of a node of a kind. */
export function retryOf(data: JsonObject, kind: string, findings: Findings): JsonObject {
  const config = objectAt(data, "retry_config");
  if (!flagAt(config, "retry_enabled")) return {};
  if (!["http", "llm", "code"].includes(kind)) {
    findings.lose("retry", `a ${kind} node is not tried again`, "Give retry to the nodes that may fail.");
    return {};
  }
  const retries = Math.max(0, Math.floor(numberAt(config, "max_retries") ?? 3));
  const delayMs = Math.max(0, Math.floor(numberAt(config, "retry_interval") ?? 1000));
  if (retries === 0) return {};
  const delay = durationText(delayMs);
  findings.keep("retry");
  // A delay of zero is allowed, a longest wait of zero is not.
  return { retry: { attempts: Math.min(retries + 1, 100), delay, factor: 1, ...(delayMs > 0 && { max: delay }), jitter: 0 } };
}

/** `onError` of a node whose failure gives values that stand in. */
export function onErrorOf(data: JsonObject, type: string, findings: Findings): JsonObject {
  const strategy = textAt(data, "error_strategy", "none");
  if (strategy === "none" || strategy === "" || strategy === "fail-branch") return {};
  if (strategy !== "default-value") {
    findings.lose(
      `error strategy ${strategy.slice(0, 40)}`,
      "there is no such strategy",
      "A failure ends the task; give onError.",
    );
    return {};
  }
  const output: Record<string, Json> = {};
  for (const entry of objectsAt(data, "default_value")) {
    const name = outputName(type, textAt(entry, "key"));
    if (name !== "") setOwn(output, name, literal(typedValue(entry)));
  }
  findings.keep("default values on error");
  return { onError: { output } };
}

function outputName(type: string, key: string): string {
  if (type === "http-request" && key === "status_code") return "status";
  if (type === "llm" && key === "structured_output") return "object";
  return key;
}

function typedValue(entry: JsonObject): Json {
  const value = own(entry, "value") ?? null;
  const type = textAt(entry, "type", "string");
  if (typeof value !== "string" || type === "string") return value;
  if (type === "number") return numberAt(entry, "value") ?? value;
  try {
    const parsed: Json = JSON.parse(value);
    return parsed;
  } catch {
    return value;
  }
}

/** What of other nodes is asked when the order of one is written down. */
export interface OrderNames {
  /** Id in the definition of a Dify id. */
  idOf(source: string): string | undefined;
  /** Field of a branching node's output that holds the case it chose. */
  choiceOf(source: string): string;
  /** Id of the node that goes on behind a failure, where the same node follows success and failure. */
  gateOf(source: string): string;
}

/** What a node waits for: its `needs`, and the `when` that tells whether one of the ways leads to it. */
export function orderOf(entries: readonly Entry[], names: OrderNames, start: string | undefined): JsonObject {
  const needs: Json[] = start === undefined ? [] : [start];
  const tests: string[] = [];
  const isAlone = entries.length === 1 && start === undefined;
  for (const { source, on, cases } of entries) {
    const id = names.idOf(source);
    if (id === undefined) continue;
    needs.push(on === "failed" ? { node: id, on: "failed" } : id);
    if (on === "both") needs.push(names.gateOf(source));
    if (cases.length > 0) {
      const test = choiceTest(`nodes.${id}.${names.choiceOf(source)}`, cases);
      tests.push(isAlone ? test : `(has(nodes.${id}) && ${test})`);
    } else tests.push(on === "failed" ? `has(errors.${id})` : `has(nodes.${id})`);
    if (on === "both") tests.push(`has(errors.${id})`);
  }
  // The start always leads on, so that nothing else has to.
  const isConditional = start === undefined && entries.some(({ cases }) => cases.length > 0);
  return {
    ...(needs.length === 0 ? {} : { needs }),
    ...(isConditional ? { when: wrapped(tests.join(" || ")) } : {}),
  };
}

function choiceTest(choice: string, cases: readonly string[]): string {
  const [only] = cases;
  return cases.length === 1 && only !== undefined
    ? `${choice} == ${celString(only)}`
    : `${choice} in [${cases.map(celString).join(", ")}]`;
}
