import { LonghaulError } from "@longhaul/core";
import { TaskState } from "@longhaul/proto/task";
import { TaskService } from "@longhaul/proto/task_service";
import { WorkflowService } from "@longhaul/proto/workflow_service";
import { projectHeader, valueFromJson } from "@longhaul/shared";
import type { SimulatedCluster } from "./simulated-cluster.ts";
import type { SimulatedTime } from "./simulated-time.ts";
import { type Ask, allWorkflows } from "./simulated-workflows.ts";

const pauseMs = 200;

/** Puts every workflow into the projects. */
export async function putWorkflows(
  time: SimulatedTime,
  cluster: SimulatedCluster,
  projects: readonly string[],
  broken: string[],
): Promise<void> {
  const client = cluster.client(WorkflowService);
  let left = 0;
  for (const project of projects) {
    for (const { name, nodes, output, limits } of allWorkflows) {
      left++;
      const definition = { name, nodes, output: { n: `\${ ${output} }` }, ...(limits && { limits }) };
      client.put({ name, definition: JSON.parse(JSON.stringify(definition)) }, { headers: { [projectHeader]: project } }).then(
        () => void left--,
        (why: unknown) => broken.push(`${name} could not be put: ${String(why)}`),
      );
    }
  }
  if (!(await time.passUntil(() => left === 0, 10_000))) broken.push("the workflows were not put");
}

/** What a task needs from people: somebody sends it, again until it is known to be there or not wanted any more. */
export async function answerAsk(
  time: SimulatedTime,
  cluster: SimulatedCluster,
  { project, id, ask }: { readonly project: string; readonly id: string; readonly ask: Ask },
  broken: string[],
): Promise<void> {
  const client = cluster.client(TaskService);
  const { node, payload } = ask;
  const headers = { [projectHeader]: project };
  const from = { headers };
  let token = "";

  async function once(): Promise<boolean> {
    if (ask.whenAsked === true) {
      const { task } = await client.get({ id }, from);
      const isOver = task !== undefined && task.state >= TaskState.SUCCEEDED;
      if (!isOver && task?.waits.some((one) => one.node === node) !== true) return false;
    }
    if (ask.byLink !== true) await client.signal({ id, node, payload: valueFromJson(payload), by: "somebody" }, from);
    else {
      if (token === "") token = (await client.createResumeLink({ id, node }, from)).token;
      await client.resume({ token, payload: valueFromJson(payload) });
    }
    return true;
  }

  for (;;) {
    try {
      if (await once()) return;
    } catch (why) {
      const code = why instanceof LonghaulError ? why.code : "internal";
      // An earlier call arrived whose answer was lost, or the task has ended.
      if (code === "conflict" || code === "expired") return;
      if (!["unavailable", "deadline_exceeded", "rate_limited"].includes(code)) {
        broken.push(`${id} ${node} was not told: ${String(why)}`);
        return;
      }
    }
    await time.wait(pauseMs);
  }
}
