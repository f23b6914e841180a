import { create } from "@bufbuild/protobuf";
import type { ResourceStore, TaskStore } from "@longhaul/core";
import { isEnded, type Live, LonghaulError, type Resource, type StoredResource, type Task } from "@longhaul/core";
import { type SubmitItem, SubmitItemSchema, type SubmitResult } from "@longhaul/proto/intake_service";
import type { Logger, SecretBox } from "@longhaul/shared";
import type { Ledger } from "../ledger/ledger.ts";
import { runSchedule, type ScheduleActions } from "../schedules/run-schedule.ts";
import { openedWebhook } from "../schedules/schedule-message.ts";
import { recordOf, resourceOf, scheduleKey, taskIdOf } from "../schedules/schedule-record.ts";
import { type DueResources, dueResources } from "./due-resources.ts";

export interface ScheduleDeps {
  readonly resources: ResourceStore;
  readonly store: Pick<TaskStore, "get">;
  readonly ledger: () => Ledger;
  readonly live: Live;
  readonly box: SecretBox;
  readonly now: () => number;
  readonly lookMs: number;
  readonly log: Logger;
  readonly submit: (item: SubmitItem) => Promise<SubmitResult>;
}

/** Starts what schedules ask for. */
export interface Schedules extends Pick<DueResources, "start" | "stop" | "own"> {
  /** A schedule was stored or changed: it is due at `at`. Every scheduler hears of it. */
  announce(resource: Resource): void;
  /** A task changed: if it is one that a schedule waits for, the schedule is looked at. */
  changed(task: Task): void;
}

/** Subject on which schedulers tell each other that a schedule is due at another time. */
const subject = "schedules";
/** Label that tasks of schedules carry. */
export const scheduleLabel = "schedule";

export function schedules(deps: ScheduleDeps): Schedules {
  const { resources, live, log, now } = deps;
  const loop = dueResources({ kind: "schedule", store: resources, handle, now, lookMs: deps.lookMs, log });
  let listening: { close(): void } | undefined;

  async function handle({ resource, rev }: StoredResource): Promise<void> {
    const { project, name, uid } = resource;
    const actions: ScheduleActions = {
      start: async (timeMs) => {
        const { result } = await deps.submit(itemOf(resource, taskIdOf(project, uid, timeMs), deps.box));
        if (result.case === "accepted" || result.case === "replayed") return { taskId: result.value.id };
        const { code, message } = result.value ?? { code: "internal", message: "The submit was not answered." };
        if (code === "unavailable" || code === "internal") throw new LonghaulError("unavailable", message);
        return { refused: message };
      },
      isLive: async (id) => {
        const [found] = await deps.store.get([{ project, id }]);
        return found !== undefined && !isEnded(found.task);
      },
      cancel: async (id) => {
        await deps
          .ledger()
          .apply([{ key: { project, id }, event: { kind: "cancel", reason: `The schedule ${name} came again.` } }]);
      },
    };
    const next = await runSchedule(recordOf(resource), now(), actions);
    // Stale means that somebody changed the schedule meanwhile: what it is now is due or not by itself.
    await resources.replace(resourceOf(resource, next, now()), rev);
  }

  async function lookAt(project: string, name: string, taskId: string): Promise<void> {
    const [found] = await resources.get([scheduleKey(project, name)]);
    if (found === undefined) return;
    const record = recordOf(found.resource);
    if (record.queuedMs === undefined || record.lastTaskId !== taskId) return;
    await handle(found);
  }

  function announce({ partition, wakeAt }: Resource): void {
    if (wakeAt !== undefined) live.publish(subject, { partition, at: wakeAt });
  }

  return {
    start() {
      listening = live.subscribe(subject, (message) => {
        if (message === null || typeof message !== "object" || !("at" in message) || !("partition" in message)) return;
        const { at, partition } = message;
        if (typeof at === "number" && typeof partition === "number") loop.note(partition, at);
      });
      loop.start();
    },
    async stop() {
      listening?.close();
      await loop.stop();
    },
    own: (partitions) => loop.own(partitions),
    announce,
    changed(task) {
      const name = task.labels[scheduleLabel];
      if (name === undefined || !isEnded(task)) return;
      lookAt(task.project, name, task.id).catch((why: unknown) =>
        log.warn({ project: task.project, schedule: name, err: why }, "a schedule was not looked at; it will be"),
      );
    },
  };
}

/** The submit of one of a schedule's tasks. */
export function itemOf(resource: Resource, id: string, box: SecretBox): SubmitItem {
  const { workflow, input, labels, priority, sealedWebhook } = recordOf(resource);
  return create(SubmitItemSchema, {
    id,
    project: resource.project,
    workflow,
    inputJson: Buffer.from(input),
    labels: { ...labels, [scheduleLabel]: resource.name },
    priority,
    ...(sealedWebhook === undefined ? {} : { webhook: openedWebhook(sealedWebhook, box) }),
  });
}
