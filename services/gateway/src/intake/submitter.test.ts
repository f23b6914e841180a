import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { LonghaulError } from "@longhaul/core";
import { IntakeService, type SubmitItem, SubmitItemSchema } from "@longhaul/proto/intake_service";
import { directClient, taskIds } from "@longhaul/shared";
import { expect, test } from "vitest";
import { fakeBackends } from "../testing/fake-backends.ts";
import { submitter } from "./submitter.ts";

const newId = taskIds();
const item = (more: MessageInitShape<typeof SubmitItemSchema> = {}): SubmitItem =>
  create(SubmitItemSchema, { id: newId(), project: "p", workflow: "echo", inputJson: Buffer.from("1"), ...more });

test("submits that come together go out together, in order, and each gets its own answer", async () => {
  const fake = fakeBackends();
  const submit = submitter(directClient(IntakeService, fake.intake), { maxHeldBytes: 1e6 });
  const items = Array.from({ length: 300 }, (_, at) => item({ workflow: at === 7 ? "missing" : "echo" }));
  const answers = await Promise.allSettled(items.map((one) => submit(one)));
  expect(fake.groups.map((group) => group.length)).toEqual([256, 44]);
  expect(answers.map((one) => (one.status === "fulfilled" ? one.value.task.id : one.reason.code))).toEqual(
    items.map((one, at) => (at === 7 ? "workflow_not_found" : one.id)),
  );
});

test("a group is sent again with the same ids while the scheduler is away, then given up as unavailable", async () => {
  const fake = fakeBackends();
  const accept = fake.intake.submitMany;
  const sent: string[][] = [];
  let failures = 3;
  const intake = directClient(IntakeService, {
    async submitMany(request, context) {
      sent.push(request.items.map((one) => one.id));
      if (failures-- > 0) throw new LonghaulError("unavailable", "away");
      if (!accept) throw new Error("no fake");
      return accept(request, context);
    },
  });
  let clock = 0;
  const pause = async (ms: number): Promise<void> => {
    clock += ms;
  };
  const submit = submitter(intake, { maxHeldBytes: 1e6, persistMs: 2_000, pause, now: () => clock });
  const one = item();
  expect((await submit(one)).task.id).toBe(one.id);
  expect(sent).toEqual([[one.id], [one.id], [one.id], [one.id]]);
  failures = Number.POSITIVE_INFINITY;
  await expect(submit(item())).rejects.toMatchObject({ code: "unavailable" });
  expect(clock).toBeLessThan(4_000);
});

test("other errors are not tried again", async () => {
  let calls = 0;
  const intake = directClient(IntakeService, {
    submitMany() {
      calls++;
      throw new LonghaulError("too_large", "no");
    },
  });
  await expect(submitter(intake, { maxHeldBytes: 1e6 })(item())).rejects.toMatchObject({ code: "too_large" });
  expect(calls).toBe(1);
});

test("more bytes than may be held are refused with a time to come back", async () => {
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const fake = fakeBackends();
  const accept = fake.intake.submitMany;
  const intake = directClient(IntakeService, {
    async submitMany(request, context) {
      await held;
      if (!accept) throw new Error("no fake");
      return accept(request, context);
    },
  });
  const submit = submitter(intake, { maxHeldBytes: 1_000 });
  const first = submit(item({ inputJson: Buffer.alloc(900, "1") }));
  await expect(submit(item({ inputJson: Buffer.alloc(900, "1") }))).rejects.toMatchObject({
    code: "unavailable",
    retryAfterMs: 1_000,
  });
  release();
  await first;
});

test("a caller that gives up gets its answer at once, whatever the group does", async () => {
  const intake = directClient(IntakeService, { submitMany: () => new Promise(() => {}) });
  const quit = new AbortController();
  const submit = submitter(intake, { maxHeldBytes: 1e6, timeoutMs: 60_000 });
  const waiting = submit(item(), quit.signal);
  quit.abort();
  await expect(waiting).rejects.toMatchObject({ code: "cancelled" });
});

test("task ids only rise, even when the clock stands or goes back, and are UUIDv7 of the time", () => {
  let now = 1_700_000_000_000;
  const next = taskIds(() => now);
  const ids: string[] = [];
  for (let at = 0; at < 20_000; at++) {
    if (at === 9_000) now -= 1_000;
    if (at === 12_000) now += 60_000;
    ids.push(next());
  }
  expect(ids).toEqual([...ids].sort());
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.every((id) => /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id))).toBe(true);
  expect(Number.parseInt((ids[0] ?? "").replace("-", "").slice(0, 12), 16)).toBe(1_700_000_000_000);
});
