import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { CallOptions, Client } from "@connectrpc/connect";
import { type Task, TaskState } from "@longhaul/proto/task";
import type { TaskService } from "@longhaul/proto/task_service";

const ended: ReadonlySet<TaskState> = new Set([TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED, TaskState.TIMED_OUT]);

export function hasEnded(task: Task): boolean {
  return ended.has(task.state);
}

/** The task once it has ended, or as it stands after the wait; undefined when it can't be read, which takes nothing back of the submit. */
export async function awaitEnd(
  tasks: Pick<Client<typeof TaskService>, "get">,
  id: string,
  waitMs: number,
  options: CallOptions,
): Promise<Task | undefined> {
  try {
    return (
      await tasks.get({ id, wait: durationFromMs(waitMs) }, { ...options, timeoutMs: options.timeoutMs ?? waitMs + 10_000 })
    ).task;
  } catch {
    return undefined;
  }
}
