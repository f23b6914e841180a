import { freePort, type NatsServer, natsServer } from "@longhaul/testkit";
import { afterAll, expect, test } from "vitest";
import { silence } from "./src/outside.ts";
import { type Service, startService } from "./src/service.ts";
import { stage } from "./src/stage.ts";
import { cluster, internalToken } from "./src/system.ts";

let nats: NatsServer | undefined;
const at = stage(async () => {
  nats = await natsServer();
  return cluster({ natsUrl: nats.url, env: { LEASE_MS: "1500" } });
});
afterAll(() => nats?.stop());

test("an executor frozen past its lease reports late: refused, and the task ends by another attempt with its result", async () => {
  const answers: ((by: number) => void)[] = [];
  at.outside.answer("/held", (call) => {
    const by = answers.length + 1;
    answers.push(() => call.response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ by })));
    return silence;
  });
  await at.api.put({
    name: "held",
    nodes: [
      { id: "call", kind: "http", with: { method: "POST", url: `${at.outside.url}/held` } },
      {
        id: "last",
        kind: "http",
        needs: ["call"],
        with: { method: "POST", url: `${at.outside.url}/last`, json: "${ nodes.call.body }" },
      },
    ],
    output: "${ nodes.call.body.by }",
  });
  const { id } = await at.api.submit({ workflow: "held" });
  const first = await at.outside.called((call) => call.path === "/held");

  const frozen = at.system.service("executor");
  frozen.freeze();
  const port = await freePort();
  const second: Service = startService({
    kind: "executor",
    name: "executor-2",
    port,
    env: {
      NATS_URL: nats?.url ?? "",
      SCHEDULER_URL: `http://127.0.0.1:${at.system.service("scheduler").port}`,
      INTERNAL_TOKEN: internalToken,
      OUTBOUND_ALLOW: "127.0.0.0/8",
    },
  });
  try {
    await second.up();
    // Tickets that the broker has handed to the frozen one come back when it has not answered for them.
    const again = await at.outside.called((call) => call.path === "/held" && call !== first, 20_000);
    expect(again.key).toBe(first.key);
    const running = await at.api.when(id, (task) => task.attempt === 2);
    expect(running.state).toBe("running");

    // The answer lies ready when it wakes up, long after its lease.
    answers[0]?.(1);
    frozen.thaw();
    await at.api.put({ name: "probe", nodes: [{ id: "x", kind: "transform", with: {} }] });
    const probes = await Promise.all(
      Array.from({ length: 40 }, () => at.api.submit({ workflow: "probe" }, { prefer: "wait=20" })),
    );
    expect(new Set(probes.map((task) => task.state))).toEqual(new Set(["succeeded"]));
    expect(await at.api.get(id)).toMatchObject({ state: "running", attempt: 2 });
    expect(at.outside.calls.filter((call) => call.path === "/last")).toEqual([]);

    answers[1]?.(2);
    expect(await at.api.ended(id)).toMatchObject({ state: "succeeded", attempt: 2, output: 2 });
    const nodes = await at.api.nodes(id);
    expect(nodes.filter((node) => node.path === "call" && node.state === "succeeded").map((node) => node.attempt)).toEqual([2]);
    expect(at.outside.calls.filter((call) => call.path === "/last").map((call) => call.body)).toEqual(['{"by":2}']);
  } finally {
    await second.kill();
  }
  // The one that was frozen is as good as before.
  expect(await at.api.submit({ workflow: "probe" }, { prefer: "wait=40" })).toMatchObject({ state: "succeeded" });
});
