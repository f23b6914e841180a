import { webhookReceiver } from "@longhaul/testkit";
import { Webhook } from "standardwebhooks";
import { describe, expect, test } from "vitest";
import type { DeliveryView, Problem } from "./src/api.ts";
import { hookSecret, verify } from "./src/hooks.ts";
import { stage } from "./src/stage.ts";
import { systems } from "./src/system.ts";
import { until } from "./src/until.ts";

describe.each(systems)("%s", (_name, start) => {
  const at = stage(() => start({ env: { WEBHOOK_ATTEMPTS: "2" } }));
  const quick = { name: "quick", nodes: [{ id: "x", kind: "transform", with: { v: "${ input }" } }], output: "${ nodes.x.v }" };
  const stateOf = (taskId: string, state: string) =>
    until(
      async () => (await at.api.deliveries(taskId)).find((one) => one.state === state),
      20_000,
      `a delivery that is ${state}`,
    );

  test("an ended task is told of, signed over the exact bytes, with the task as GET shows it", async () => {
    await at.api.put(quick);
    const { id } = await at.api.submit({
      workflow: "quick",
      input: { text: "grüße 🚀" },
      webhook: { url: `${at.hooks.url}signed`, secret: hookSecret, headers: { "x-mine": "yes" } },
    });
    const message = await at.hooks.about(id);
    expect(message).toMatchObject({ id: `${id}.task.succeeded`, type: "task.succeeded" });
    expect(message.task).toMatchObject({ id, state: "succeeded", output: { text: "grüße 🚀" }, workflow: "quick" });
    const [request] = at.hooks.receiver.requests.filter((one) => one.path === "/signed");
    if (!request) throw new Error("not there");
    expect(request.headers).toMatchObject({ "x-mine": "yes", "content-type": "application/json" });
    expect(Math.abs(Number(request.headers["webhook-timestamp"]) - Date.now() / 1_000)).toBeLessThan(60);
    const forged = { ...request, body: Buffer.from(request.body.toString().replace("succeeded", "failed")) };
    expect(() => verify(forged)).toThrow();
    expect(() => verify(request, `whsec_${Buffer.alloc(24, 4).toString("base64")}`)).toThrow();

    const delivery = await stateOf(id, "delivered");
    expect(delivery).toMatchObject({
      id: message.id,
      taskId: id,
      event: "task.succeeded",
      attempts: [{ number: 1, status: 204 }],
    });
    await at.api.when(id, (task) => task.delivery?.state === "delivered");
    const shown = await at.api.get(id);
    expect(JSON.stringify(shown)).not.toContain(hookSecret);
    const { delivery: _, version: __, ...asShown } = shown;
    const { delivery: ___, version: ____, ...asTold } = message.task;
    expect(asTold).toEqual(asShown);
  });

  test("a secret that is plain text signs with its bytes; without one there is no signature", async () => {
    await at.api.put(quick);
    const plain = await at.api.submit({ workflow: "quick", webhook: { url: `${at.outside.url}/plain`, secret: "just words" } });
    const call = await at.outside.called((one) => one.path === "/plain");
    new Webhook(Buffer.from("just words").toString("base64")).verify(call.body, {
      "webhook-id": String(call.headers["webhook-id"]),
      "webhook-timestamp": String(call.headers["webhook-timestamp"]),
      "webhook-signature": String(call.headers["webhook-signature"]),
    });
    await at.api.ended(plain.id);
    await at.api.submit({ workflow: "quick", webhook: { url: `${at.outside.url}/bare` } });
    const bare = await at.outside.called((one) => one.path === "/bare");
    expect(bare.headers["webhook-signature"]).toBeUndefined();
    expect(bare.headers["webhook-id"]).toMatch(/task\.succeeded$/);
  });

  test("only the events asked for are told: failed, cancelled and timed_out too", async () => {
    await at.api.put({ name: "fails", nodes: [{ id: "x", kind: "transform", with: { v: "${ input.none }" } }] });
    await at.api.put({ name: "hangs", nodes: [{ id: "x", kind: "http", with: { url: `${at.outside.url}/hold/hook` } }] });
    const webhook = { url: `${at.hooks.url}events`, secret: hookSecret };
    const failed = await at.api.submit({ workflow: "fails", input: {}, webhook });
    const cancelled = await at.api.submit({ workflow: "hangs", webhook });
    const timed = await at.api.submit({ workflow: "hangs", webhook, deadline: new Date(Date.now() + 1_000).toISOString() });
    const silent = await at.api.submit({ workflow: "fails", input: {}, webhook: { ...webhook, events: ["task.succeeded"] } });
    await at.api.call(`/v1/tasks/${cancelled.id}:cancel`, { body: {} });
    expect((await at.hooks.about(failed.id)).type).toBe("task.failed");
    expect((await at.hooks.about(cancelled.id)).type).toBe("task.cancelled");
    expect((await at.hooks.about(timed.id)).type).toBe("task.timed_out");
    expect(await at.api.ended(silent.id)).not.toHaveProperty("delivery");
    expect(await at.api.deliveries(silent.id)).toEqual([]);
    expect(at.hooks.of(silent.id)).toEqual([]);
  });

  test("a receiver that fails is tried again later, with the same id and bytes; every attempt is on record", async () => {
    await at.api.put(quick);
    let calls = 0;
    const receiver = await webhookReceiver(() => ({ status: ++calls === 1 ? 500 : 200, body: "sorry" }));
    try {
      const { id } = await at.api.submit({ workflow: "quick", input: 1, webhook: { url: receiver.url, secret: hookSecret } });
      const first = await receiver.next();
      const pending = await until(async () => (await at.api.deliveries(id)).find((one) => one.attempts.length === 1));
      expect(pending).toMatchObject({ state: "pending", attempts: [{ number: 1, status: 500 }] });
      const second = await receiver.next(20_000);
      expect(second.body.equals(first.body)).toBe(true);
      expect(verify(second).id).toBe(verify(first).id);
      const delivered = await stateOf(id, "delivered");
      expect(delivered.attempts.map((one) => [one.number, one.status])).toEqual([
        [1, 500],
        [2, 200],
      ]);
      await at.api.when(id, (task) => task.delivery?.state === "delivered");
      expect(await at.api.get(id)).toMatchObject({ state: "succeeded" });
    } finally {
      await receiver.stop();
    }
  });

  test("a webhook that no attempt delivers is visibly exhausted and can be replayed; 410 stops at once", async () => {
    await at.api.put(quick);
    let status = 410;
    const receiver = await webhookReceiver(() => ({ status }));
    try {
      const { id } = await at.api.submit({ workflow: "quick", input: 1, webhook: { url: receiver.url, secret: hookSecret } });
      await receiver.next();
      const exhausted = await stateOf(id, "exhausted");
      expect(exhausted.attempts.map((one) => one.status)).toEqual([410]);
      await at.api.when(id, (task) => task.delivery?.state === "exhausted");

      status = 204;
      const reply = await at.api.call(`/v1/deliveries/${exhausted.id}:replay`, { body: {} });
      expect(reply.status).toBe(202);
      expect(reply.json<DeliveryView>()).toMatchObject({ id: exhausted.id, state: "pending" });
      const again = await receiver.next();
      expect(verify(again).id).toBe(exhausted.id);
      const delivered = await stateOf(id, "delivered");
      expect(delivered.attempts.map((one) => [one.number, one.status])).toEqual([
        [1, 410],
        [2, 204],
      ]);
      await at.api.when(id, (task) => task.delivery?.state === "delivered");
      const one = await at.api.call(`/v1/deliveries/${exhausted.id}`);
      expect(one.json()).toMatchObject({ id: exhausted.id, state: "delivered" });
    } finally {
      await receiver.stop();
    }
  });

  test("a replay of what is still pending is a conflict", async () => {
    await at.api.put(quick);
    const receiver = await webhookReceiver(() => ({ status: 503 }));
    try {
      const { id } = await at.api.submit({ workflow: "quick", webhook: { url: receiver.url } });
      await receiver.next();
      const [pending] = await until(async () => {
        const found = await at.api.deliveries(id);
        return found[0]?.attempts.length === 1 ? found : undefined;
      });
      const reply = await at.api.call(`/v1/deliveries/${pending?.id}:replay`, { body: {} });
      expect([reply.status, reply.json<Problem>().code]).toEqual([409, "conflict"]);
    } finally {
      await receiver.stop();
    }
  });

  test("a receiver that never answers delays neither another one's messages nor any task", async () => {
    await at.api.put(quick);
    for (let n = 0; n < 30; n++) {
      await at.api.submit({ workflow: "quick", input: n, webhook: { url: `${at.outside.url}/hold/mute` } });
    }
    const begun = performance.now();
    const { id } = await at.api.submit({ workflow: "quick", webhook: { url: `${at.hooks.url}beside`, secret: hookSecret } });
    await at.hooks.about(id, 5_000);
    expect(performance.now() - begun).toBeLessThan(2_000);
  });
});
