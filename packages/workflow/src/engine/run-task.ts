import type { CompiledWorkflow } from "../definition/compiled-workflow.ts";
import { type Evaluator, evaluator } from "../expression/evaluate.ts";
import { Vault } from "./redact-secrets.ts";
import type { TaskFacts, TaskHooks, TaskOutcome } from "./task-run.ts";
import { TaskRunner } from "./task-runner.ts";

/**
 * Runs the graph of one task from where it stands to its end, or to the point where it must wait. Never throws.
 *
 * A node runs when all its needs have settled and at least one led to it: a need leads on when its node ended the way the edge names. With
 * needs of which none leads on, it is skipped. Nodes without effects run at once and their records go along with later ones; a node with
 * effects starts only after everything before it is durably stored. A node that waits goes on in the same run when its time comes or
 * something arrives for it while others work; when nothing else can go on, the run ends as `wait`.
 */
export function runTask(
  workflow: CompiledWorkflow,
  facts: TaskFacts,
  hooks: TaskHooks,
  evaluate: Evaluator = evaluator,
): Promise<TaskOutcome> {
  if (workflow.secrets.length === 0) return runWith(new Vault(), workflow, facts, hooks, evaluate);
  return runWithSecrets(workflow, facts, hooks, evaluate);
}

/** Before anything else the values are there: what earlier nodes made of them must not be recorded by later ones either. */
async function runWithSecrets(
  workflow: CompiledWorkflow,
  facts: TaskFacts,
  hooks: TaskHooks,
  evaluate: Evaluator,
): Promise<TaskOutcome> {
  const names = [...new Set(workflow.secrets.map(({ name }) => name))];
  let values: Readonly<Record<string, string>>;
  try {
    values = (await hooks.secrets?.(names)) ?? {};
  } catch (cause) {
    return { kind: "aborted", cause };
  }
  return runWith(new Vault(workflow.secrets, values), workflow, facts, hooks, evaluate);
}

function runWith(
  vault: Vault,
  workflow: CompiledWorkflow,
  facts: TaskFacts,
  hooks: TaskHooks,
  evaluate: Evaluator,
): Promise<TaskOutcome> {
  return new Promise((resolve) => {
    const end = (outcome: TaskOutcome): void => resolve(vault.outcome(outcome));
    new TaskRunner(workflow, facts, hooks, evaluate, vault, end).start();
  });
}
