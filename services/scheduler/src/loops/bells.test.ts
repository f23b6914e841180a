import { type Json, type Live, partitionOf, type Task } from "@longhaul/core";
import { expect, test } from "vitest";
import { bellsOver } from "./bells.ts";

const key = { project: "acme", id: "0193a0c0-0000-7000-8000-000000000001" };

/** A live connection whose messages arrive when the test lets them, at everybody who listens. */
function handLive() {
  const sent: { readonly subject: string; readonly message: Json }[] = [];
  const listeners = new Set<(subject: string, message: Json) => void>();
  const connect = (): Live => ({
    publish: (subject, message) => void sent.push({ subject, message }),
    subscribe: (subject, onMessage) => {
      const hear = (at: string, message: Json): void => {
        if (at === subject) onMessage(message);
      };
      listeners.add(hear);
      return { ready: Promise.resolve(), close: () => void listeners.delete(hear) };
    },
    onGap: () => () => {},
  });
  const deliver = (): void => {
    for (const { subject, message } of sent.splice(0)) for (const hear of listeners) hear(subject, message);
  };
  return { connect, deliver, sent };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Bells look at nothing else of a task. */
function changed(version: number): Task {
  return { id: key.id, partition: partitionOf(key.project), version, attempt: 0, report: 0 } as Task;
}

test("who listens in the same process hears of a change at the end of the turn, once, even while nothing arrives", async () => {
  const live = handLive();
  const bells = bellsOver(live.connect());
  let rings = 0;
  const listening = bells.listen(key, () => rings++);
  bells.changed(changed(2), changed(1));
  bells.changed(changed(3), changed(2));
  expect(rings).toBe(0);
  await turn();
  expect(rings).toBe(1);
  live.deliver();
  expect(rings).toBe(1);
  listening.close();
  bells.changed(changed(4), changed(3));
  await turn();
  expect(rings).toBe(1);
});

test("who listens in another process hears of it by message", async () => {
  const live = handLive();
  const here = bellsOver(live.connect());
  const there = bellsOver(live.connect());
  let rings = 0;
  there.listen(key, () => rings++);
  here.changed(changed(2), changed(1));
  await turn();
  expect([rings, live.sent.length]).toEqual([0, 1]);
  live.deliver();
  expect(rings).toBe(1);
});

test("messages of an earlier version, and of no version, are borne", () => {
  const live = handLive();
  const bells = bellsOver(live.connect());
  let rings = 0;
  bells.listen(key, () => rings++);
  const subject = `bell.${partitionOf(key.project)}`;
  live.sent.push({ subject, message: { ids: [key.id] } });
  for (const message of [null, 1, { ids: 3 }, { ids: [7, null] }]) live.sent.push({ subject, message });
  live.deliver();
  expect(rings).toBe(1);
});
