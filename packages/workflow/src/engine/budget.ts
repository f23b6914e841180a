import type { CompiledNode } from "../definition/compiled-workflow.ts";
import { objectOf } from "../expression/json-object.ts";
import type { Wake } from "../kinds/kind.ts";
import { budgetPath } from "./asks.ts";
import type { GraphRun } from "./graph-run.ts";
import type { StoredRun } from "./task-run.ts";
import type { TaskRunner } from "./task-runner.ts";

interface HeldBack {
  readonly graph: GraphRun;
  readonly node: CompiledNode;
}

/** What happens at a task's ceilings: the task fails, or its nodes wait until somebody lets it go on. */
export class Budget {
  private readonly run: TaskRunner;
  private readonly mayAsk: boolean;
  private held: HeldBack[] = [];
  private grants = 0;
  private before: StoredRun | undefined;
  private startTimeMs = 0;

  constructor(run: TaskRunner, mayAsk: boolean, before: StoredRun | undefined) {
    this.run = run;
    this.mayAsk = mayAsk;
    this.before = before?.state === "waiting" ? before : undefined;
    const { grants } = objectOf(before?.state === "waiting" ? before.wait?.memory : before?.output);
    if (typeof grants === "number") this.grants = grants;
  }

  /** True where a ceiling is reached, so that the node may not begin now. */
  holdsBack(graph: GraphRun, node: CompiledNode): boolean {
    const { run } = this;
    const why = run.spending.exceeded(run.hooks.now(), this.grants);
    if (why === undefined) return false;
    if (!this.mayAsk) this.fail(why);
    else {
      this.held.push({ graph, node });
      if (this.held.length === 1) this.ask(why);
    }
    return true;
  }

  /** True while its question is open. */
  get isAsking(): boolean {
    return this.held.length > 0;
  }

  private fail(why: string): void {
    this.run.finish({ kind: "failed", error: { code: "budget_exceeded", message: why, retryable: false } });
  }

  private ask(why: string): void {
    const { run, before } = this;
    const nowMs = run.hooks.now();
    const wait = before?.wait ?? {
      kind: "budget" as const,
      reason: `${why}. Say whether it may go on with as much again.`,
      details: { choices: ["continue", "fail"] },
      memory: { grants: this.grants },
    };
    const sinceMs = before?.sinceMs ?? nowMs;
    this.startTimeMs = before?.startTimeMs ?? nowMs;
    if (before === undefined) run.push({ ...this.record(), state: "waiting", wait, sinceMs });
    this.before = undefined;
    run.wait({
      path: budgetPath,
      wait,
      sinceMs,
      untilMs: Number.POSITIVE_INFINITY,
      owner: this,
      wake: (wake, seq) => this.answer(why, wake, seq),
    });
  }

  private record() {
    return { path: budgetPath, kind: "budget", startTimeMs: this.startTimeMs, tries: 1 };
  }

  private answer(why: string, wake: Wake, seq: number | undefined): void {
    const { run } = this;
    const { choice, comment } = objectOf(wake.kind === "arrival" ? wake.payload : undefined);
    const by = wake.kind === "arrival" ? wake.by : "";
    const isGranted = choice === "continue";
    if (isGranted) this.grants++;
    const output = { choice: isGranted ? "continue" : "fail", by, comment: comment ?? "", grants: this.grants };
    run.push({ ...this.record(), state: "succeeded", outputJson: JSON.stringify(output), endTimeMs: run.hooks.now() }, seq);
    if (!isGranted) {
      this.fail(why);
      return;
    }
    const { held } = this;
    this.held = [];
    for (const { graph, node } of held) run.lineUp(graph, node);
    run.pumpSoon();
  }
}
