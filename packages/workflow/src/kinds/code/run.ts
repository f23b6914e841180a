import { createHash } from "node:crypto";
import type { Json } from "@longhaul/core";
import type { JsonObject } from "../../expression/cel-value.ts";
import { type KindProblem, type NodeContext, NodeFailure, type NodeKind } from "../kind.ts";
import { checkSource } from "./check-source.ts";
import { readCodeInput } from "./code-input.ts";
import { type PoolFault, SandboxFailure, type SandboxPool, sandboxPool } from "./sandbox-pool.ts";
import { codeSchema } from "./schema.ts";

/** Time that code may run when the node gives no timeout. */
export const defaultLimitMs = 5000;
/** The longest that code may run, whatever its node says: it holds one of few threads. */
export const maxLimitMs = 60_000;

/** The kind on a pool of its own; `codeKind` is the one that is registered. */
export function codeKindOn(pool: () => SandboxPool): NodeKind {
  return {
    name: "code",
    description: "Runs JavaScript in a sandbox without access to anything; its output is what the function returns.",
    schema: codeSchema,
    needsWith: true,
    effects: false,
    inline: false,
    // The wait for a thread does not count against code that says nothing about time: the pool bounds the run itself.
    defaultTimeoutMs: Number.POSITIVE_INFINITY,
    supportsAsync: true,
    verbatim: ["source"],
    check,
    run: (context) => run(pool(), context),
  };
}

let shared: SandboxPool | undefined;

/** Runs code; its threads start when first needed and do not keep the process alive. */
export const codeKind: NodeKind = codeKindOn(() => {
  shared ??= sandboxPool();
  return shared;
});

function check(input: Json): readonly KindProblem[] {
  const source = typeof input === "object" && input !== null ? (input as JsonObject)["source"] : undefined;
  return typeof source === "string" ? checkSource(source) : [];
}

async function run(pool: SandboxPool, context: NodeContext): Promise<Json> {
  const { signal } = context;
  const limitMs = Math.min(Number.isFinite(context.timeoutMs) ? context.timeoutMs : defaultLimitMs, maxLimitMs);
  const input = readCodeInput(context.input);
  const seed = seedOf(context.operationKey);
  try {
    return JSON.parse(await pool.run({ ...input, seed, limitMs, signal, log: (line) => context.log(line) }));
  } catch (error) {
    throw error instanceof SandboxFailure ? failureOf(error, limitMs, input) : error;
  }
}

/** The same for every try of a node, so that a repeat gives the same result. */
function seedOf(operationKey: string): number {
  return createHash("sha256").update(operationKey).digest().readUIntBE(0, 6) + 1;
}

interface Limits {
  readonly memoryBytes: number;
  readonly outputBytes: number;
}

function failureOf(error: SandboxFailure, limitMs: number, { memoryBytes, outputBytes }: Limits): NodeFailure {
  const [code, message, more] = explain(error.fault, limitMs, memoryBytes, outputBytes);
  return new NodeFailure(code, message, { retryable: false, ...more, cause: error });
}

type Explained = readonly [code: string, message: string, more?: { readonly retryable?: true; readonly details?: JsonObject }];

function explain(fault: PoolFault, limitMs: number, memoryBytes: number, outputBytes: number): Explained {
  switch (fault.kind) {
    case "error": {
      const { name, message, place } = fault;
      const at = place === undefined ? "" : ` (line ${place.line}, column ${place.column})`;
      return ["code_error", `${name === "" ? "" : `${name}: `}${message}${at}`, { details: { name, ...place } }];
    }
    case "timeout":
      return ["node_timeout", `the code ran longer than ${limitMs} ms`, { retryable: true }];
    case "memory":
      return [
        "code_memory",
        `the code needs more than ${memoryBytes / 1024 / 1024} MiB; raise memoryMiB, or work on less at a time`,
      ];
    case "output_too_large":
      return ["output_too_large", `the result has more than ${outputBytes} bytes as JSON; return less, or raise outputBytes`];
    case "invalid_output":
      return ["code_invalid_output", fault.message];
    case "never_settles":
      return ["code_never_settles", fault.message];
    case "crashed":
      return ["code_crashed", `the sandbox could not go on: ${fault.message}`];
    case "lost":
      return ["code_lost", fault.message, { retryable: true }];
    case "busy":
      return ["code_busy", "too many code nodes are waiting for a thread", { retryable: true }];
  }
}
