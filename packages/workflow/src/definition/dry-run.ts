import type { DefinitionFault, Json } from "@longhaul/core";
import { redacted } from "../engine/redact-secrets.ts";
import type { JsonObject } from "../expression/cel-value.ts";
import { type Evaluator, evaluator } from "../expression/evaluate.ts";
import type { CompiledGraph, CompiledWorkflow } from "./compiled-workflow.ts";
import { dryGraph } from "./dry-graph.ts";
import { DryList, type DryNode, type DryTask } from "./dry-node.ts";
import { sharedTurn } from "./dry-turn.ts";
import type { Unevaluated } from "./dry-values.ts";
import { nearest } from "./nearest.ts";

/** What a dry run works on. */
export interface DryRunSample {
  /** A task's input. */
  readonly input: Json;
  /** Outputs of nodes by path, to be taken as they are; needed for nodes that touch the outside or wait. */
  readonly recorded?: Readonly<Record<string, Json>>;
}

/** Bounds and clocks of a dry run. */
export interface DryRunOptions {
  /** Most time for all of it, in ms; 5,000 if not given. */
  readonly timeoutMs?: number;
  /** Ends it early. */
  readonly signal?: AbortSignal;
  /** Wall clock, ms since 1970: when the task would have been made. */
  readonly now?: () => number;
  /** Monotonic clock in ms. */
  readonly clock?: () => number;
  /** Revision that `task.revision` says; 1 if not given. */
  readonly revision?: number;
  readonly evaluate?: Evaluator;
}

/** What a task with this input would do. */
export interface DryRun {
  /** In the order in which nodes would run; empty where the input does not fit or a recorded path is wrong. */
  readonly nodes: readonly DryNode[];
  /** The task's output, with null in place of what is not known; absent where the task would fail. */
  readonly output?: Json;
  /** Parts of the output that are not known. */
  readonly unknownOutput: readonly Unevaluated[];
  /** What is wrong with the sample, and with `output`; faults of nodes are with their nodes. */
  readonly errors: readonly DefinitionFault[];
  /** Path of the node whose failure would be the task's; empty where there is none. */
  readonly failsAt: string;
  /** True when every expression was evaluated, and none failed. */
  readonly complete: boolean;
  /** How many nodes are not listed, because there are more than 2,000. */
  readonly omitted: number;
}

const usualTimeoutMs = 5_000;
/** Characters of JSON that the expressions of one dry run may make. */
const maxMade = 32 * 1024 * 1024;

/**
 * Runs the graph on a sample, without any effect. Nodes that touch the outside, wait or start other tasks are taken as succeeded: their output
 * is the recorded one, or not known, and what depends on an unknown value is reported as not evaluated, never guessed. All other nodes run for
 * real. Secrets are not read: `[secret]` stands for their values. Never rejects.
 */
export async function dryRun(workflow: CompiledWorkflow, sample: DryRunSample, options: DryRunOptions = {}): Promise<DryRun> {
  const recorded = new Map(Object.entries(sample.recorded ?? {}));
  const faults = sampleFaults(workflow, sample, recorded);
  if (faults.length > 0) return { nodes: [], unknownOutput: [], errors: faults, failsAt: "", complete: false, omitted: 0 };
  const timeoutMs = options.timeoutMs ?? usualTimeoutMs;
  const list = new DryList();
  const nowMs = options.now?.() ?? Date.now();
  const task: DryTask = {
    run: {
      evaluate: options.evaluate ?? evaluator,
      turn: sharedTurn(timeoutMs, options.clock ?? (() => performance.now())),
      left: maxMade,
    },
    recorded,
    nowMs,
    signal: options.signal ?? AbortSignal.timeout(timeoutMs),
    list,
    stopped: "",
  };
  const about: JsonObject = {
    id: "00000000-0000-7000-8000-000000000000",
    workflow: workflow.name,
    revision: options.revision ?? 1,
    createTime: new Date(nowMs).toISOString(),
    labels: {},
    priority: 0,
  };
  const scope = { input: sample.input, nodes: {}, errors: {}, task: about, secrets: placeholders(workflow) };
  const { failsAt, output } = await dryGraph(workflow, task, { prefix: "", scope });
  const fails = failsAt !== "";
  const isRight = !fails && task.stopped === "" && output.errors.length === 0;
  return {
    nodes: list.nodes,
    ...(isRight && { output: output.shown }),
    unknownOutput: fails ? [] : output.unknown,
    errors: output.errors,
    failsAt,
    complete: isRight && list.isComplete && list.omitted === 0 && output.unknown.length === 0,
    omitted: list.omitted,
  };
}

/** Every secret that the definition mentions, as if it existed. */
function placeholders({ secrets }: CompiledWorkflow): JsonObject {
  return Object.fromEntries(secrets.map(({ name }) => [name, redacted]));
}

function sampleFaults(
  workflow: CompiledWorkflow,
  { input }: DryRunSample,
  recorded: ReadonlyMap<string, Json>,
): readonly DefinitionFault[] {
  const ofInput = workflow.validateInput(input).map(
    ({ pointer, message }): DefinitionFault => ({
      pointer,
      node: "",
      message,
      mend: "Correct the sample, or the input's schema.",
    }),
  );
  const paths = workflow.nodes.map(({ id }) => id);
  const ofRecorded = [...recorded.keys()]
    .filter((path) => !isPath(workflow, path))
    .map((path): DefinitionFault => {
      const near = nearest(path, paths);
      return {
        pointer: "/recorded",
        node: "",
        message: `an output is recorded for "${path.slice(0, 200)}", but there is no such node`,
        mend: near === undefined ? `The nodes are ${paths.slice(0, 20).join(", ")}.` : `Did you mean "${near}"?`,
      };
    });
  return [...ofInput, ...ofRecorded].slice(0, 100);
}

/** True for the path of a node, or of an item of a foreach: `fetch`, `each[3]`, `each[3].summary`. */
function isPath({ nodes }: CompiledGraph, path: string): boolean {
  return nodes.some(({ id, inner }) => {
    if (path === id) return true;
    if (inner === undefined || !path.startsWith(`${id}[`)) return false;
    const [whole, , rest] = /^\[([0-9]{1,6})\](?:\.(.+))?$/s.exec(path.slice(id.length)) ?? [];
    return whole !== undefined && (rest === undefined || isPath(inner, rest));
  });
}
