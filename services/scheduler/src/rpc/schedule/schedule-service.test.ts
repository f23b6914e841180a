import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { openSqlite } from "@longhaul/adapters/sqlite";
import { ScheduleOverlap, ScheduleSchema, ScheduleService } from "@longhaul/proto/schedule_service";
import { TaskState } from "@longhaul/proto/task";
import { directClient, silentLogger, valueFromJson } from "@longhaul/shared";
import { afterEach, expect, test } from "vitest";
import { type StartedScheduler, type StartOptions, startScheduler } from "../../testing/start-scheduler.ts";

const headers = { "longhaul-project": "acme" };
const definition = {
  name: "report",
  input: { type: "object", required: ["day"], properties: { day: { type: "string" } } },
  nodes: [{ id: "a", kind: "transform", with: { v: 1 } }],
};
const ended: StartedScheduler[] = [];
afterEach(async () => {
  for (const each of ended.splice(0)) await each.stop();
});

async function started(options: StartOptions = {}) {
  const self = await startScheduler(options);
  ended.push(self);
  await self.workflows.put({ name: "report", definition: JSON.parse(JSON.stringify(definition)) }, { headers });
  const schedules = directClient(ScheduleService, self.scheduler.services.schedule, { log: silentLogger });
  const put = async (over: MessageInitShape<typeof ScheduleSchema> = {}) =>
    (
      await schedules.put(
        {
          name: over.name ?? "nightly",
          schedule: create(ScheduleSchema, {
            workflow: "report",
            input: valueFromJson({ day: "today" }),
            cron: "0 3 * * *",
            timeZone: "Europe/Berlin",
            ...over,
          }),
        },
        { headers },
      )
    ).schedule;
  const get = async (name = "nightly") => (await schedules.get({ name }, { headers })).schedule;
  /** The tasks of a schedule, once there are so many. */
  const tasksOf = async (name: string, count: number) => {
    for (;;) {
      const { tasks } = await self.tasks.list({ label: { schedule: name } }, { headers });
      if (tasks.length >= count) return tasks;
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  };
  return { ...self, schedules, put, get, tasksOf };
}

test("a schedule is shown as it was put, with its next times", async () => {
  const { put, get, schedules } = await started();
  const made = await put({ labels: { team: "a" }, priority: 5 });
  expect(made).toMatchObject({ name: "nightly", timeZone: "Europe/Berlin", overlap: ScheduleOverlap.SKIP, maxCatchUp: 10 });
  expect(made?.nextTimes).toHaveLength(5);
  expect(await get()).toEqual(made);
  const listed = await schedules.list({}, { headers });
  expect(listed.schedules.map(({ name }) => name)).toEqual(["nightly"]);
  await expect(schedules.get({ name: "nightly" }, { headers: { "longhaul-project": "other" } })).rejects.toMatchObject({
    code: "not_found",
  });
});

test("every fault of a schedule is said at once, and nothing is stored", async () => {
  const { put, schedules } = await started();
  const bad = put({
    name: "a/b",
    cron: "61 * * * *",
    timeZone: "Atlantis/Centre",
    interval: durationFromMs(10),
    priority: 1_000,
    maxCatchUp: 1_000,
  });
  const pointers = await bad.catch((why: { faults: { pointer: string }[] }) => why.faults.map(({ pointer }) => pointer));
  expect(pointers).toEqual(["/name", "/interval", "/cron", "/timeZone", "/interval", "/maxCatchUp", "/priority"]);
  await expect(put({ workflow: "missing" })).rejects.toMatchObject({ code: "workflow_not_found" });
  await expect(put({ input: valueFromJson({}) })).rejects.toMatchObject({ code: "invalid_input" });
  await expect(put({ cron: "" })).rejects.toMatchObject({ code: "invalid_argument" });
  expect((await schedules.list({}, { headers })).schedules).toEqual([]);
});

test("its tasks start when their times come, with its input and labels", async () => {
  const { put, get, tasksOf } = await started();
  await put({ name: "often", cron: "", timeZone: "", interval: durationFromMs(1_000), labels: { team: "a" }, priority: 7 });
  const [task] = await tasksOf("often", 1);
  expect(task).toMatchObject({ workflow: "report", labels: { team: "a", schedule: "often" }, priority: 7 });
  // The run is listed right after its task is stored.
  let runs = (await get("often"))?.lastRuns;
  while (runs?.length === 0) {
    await new Promise<void>((resolve) => setImmediate(resolve));
    runs = (await get("often"))?.lastRuns;
  }
  expect(runs?.at(-1)).toMatchObject({ outcome: "started", taskId: task?.id });
});

test("two schedulers on one database start one task for each time", async () => {
  const stores = openSqlite({ file: ":memory:" });
  const one = await started({ stores, name: "one" });
  const two = await started({ stores, name: "two", live: one.live });
  await one.put({
    name: "often",
    cron: "",
    timeZone: "",
    interval: durationFromMs(1_000),
    overlap: ScheduleOverlap.CANCEL_PREVIOUS,
  });
  const tasks = await two.tasksOf("often", 3);
  const { lastRuns = [] } = (await two.get("often")) ?? {};
  const times = lastRuns.filter(({ outcome }) => outcome === "started").map(({ time }) => String(time?.seconds));
  expect(new Set(times).size).toBe(times.length);
  expect(new Set(tasks.map(({ id }) => id)).size).toBe(tasks.length);
  expect(tasks.filter(({ state }) => state !== TaskState.CANCELLED)).toHaveLength(1);
});

test("paused it starts none, resumed it goes on from now, and by hand it starts at once all the same", async () => {
  const { put, get, schedules, tasksOf } = await started();
  await put();
  expect((await schedules.pause({ name: "nightly" }, { headers })).schedule).toMatchObject({ paused: true, nextTimes: [] });
  const { taskId } = await schedules.runNow({ name: "nightly" }, { headers });
  expect((await tasksOf("nightly", 1))[0]?.id).toBe(taskId);
  expect((await get())?.lastRuns).toMatchObject([{ taskId, outcome: "started" }]);
  expect((await schedules.resume({ name: "nightly" }, { headers })).schedule?.nextTimes).toHaveLength(5);
  await schedules.delete({ name: "nightly" }, { headers });
  for (const call of [schedules.delete, schedules.get, schedules.pause, schedules.resume, schedules.runNow]) {
    await expect(call({ name: "nightly" }, { headers })).rejects.toMatchObject({ code: "not_found" });
  }
});

test("neither the secret nor the headers of its webhook come back or lie open in the store", async () => {
  const { put, get, stores, schedules } = await started();
  const webhook = {
    $typeName: "longhaul.v1.Webhook" as const,
    url: "https://example.com/hook",
    secret: "hunter2-hunter2",
    headers: { authorization: "Bearer sesame-sesame" },
    events: ["task.failed"],
  };
  await put({ webhook });
  expect((await get())?.webhook).toMatchObject({ url: webhook.url, secret: "", headers: {}, events: ["task.failed"] });
  const [found] = await stores.resources.get([{ project: "acme", kind: "schedule", name: "nightly" }]);
  expect(found?.resource.json).not.toMatch(/hunter2|sesame/);
  const { taskId } = await schedules.runNow({ name: "nightly" }, { headers });
  const [task] = await stores.tasks.get([{ project: "acme", id: taskId }]);
  expect(task?.task.webhook).toMatchObject({ url: webhook.url, events: ["task.failed"] });
});
