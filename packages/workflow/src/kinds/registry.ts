import { approvalKind } from "./approval/run.ts";
import { codeKind } from "./code/run.ts";
import { foreachKind } from "./foreach/run.ts";
import { httpKind } from "./http/run.ts";
import type { NodeKind } from "./kind.ts";
import { llmKind } from "./llm/run.ts";
import { signalKind } from "./signal/run.ts";
import { transformKind } from "./transform/run.ts";
import { waitKind } from "./wait/run.ts";
import { workerKind } from "./worker/run.ts";
import { workflowKind } from "./workflow/run.ts";

const registered: readonly NodeKind[] = [
  httpKind,
  transformKind,
  codeKind,
  llmKind,
  foreachKind,
  workflowKind,
  waitKind,
  signalKind,
  approvalKind,
  workerKind,
];

/** Every kind of node by its name. */
export const kinds: ReadonlyMap<string, NodeKind> = new Map(registered.map((kind) => [kind.name, kind]));
