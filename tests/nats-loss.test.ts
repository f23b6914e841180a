import { type NatsServer, natsServer } from "@longhaul/testkit";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { afterAll, expect, test } from "vitest";
import { startLoad } from "./src/load.ts";
import { stage } from "./src/stage.ts";
import { cluster } from "./src/system.ts";

let nats: NatsServer | undefined;
const broker = (): NatsServer => {
  if (!nats) throw new Error("there is no broker yet");
  return nats;
};
const at = stage(async () => {
  nats = await natsServer();
  return cluster({ natsUrl: nats.url });
});
afterAll(() => nats?.stop());

test("the broker's data is deleted while it is down, under load: nothing is lost and work goes on", async () => {
  const load = await startLoad({ api: at.api, outside: at.outside, hooks: at.hooks, name: "wiped", tasks: 150 });
  for (const count of [40, 100]) {
    await load.reached(count);
    await broker().kill();
    await broker().wipe();
    await broker().restart();
  }
  await load.expectKept();
  expect([...load.refusals.keys()].filter((status) => status !== 503)).toEqual([]);
});

test("every stream and consumer is deleted again and again while it runs: nothing is lost and work goes on within seconds", async () => {
  const connection = await connect({ servers: broker().url });
  try {
    const manager = await jetstreamManager(connection);
    let deleted = 0;
    const deleteAll = async (what: "streams" | "consumers"): Promise<void> => {
      for (const stream of await manager.streams.list().next()) {
        if (what === "consumers") {
          for (const consumer of await manager.consumers.list(stream.config.name).next()) {
            deleted += (await manager.consumers.delete(stream.config.name, consumer.name)) ? 1 : 0;
          }
        } else deleted += (await manager.streams.delete(stream.config.name)) ? 1 : 0;
      }
    };
    const load = await startLoad({ api: at.api, outside: at.outside, hooks: at.hooks, name: "deleted", tasks: 200 });
    for (const [count, what] of [
      [30, "streams"],
      [60, "consumers"],
      [100, "streams"],
      [130, "consumers"],
    ] as const) {
      await load.reached(count);
      await deleteAll(what);
    }
    await load.expectKept();
    expect(deleted).toBeGreaterThanOrEqual(3);
    expect([...load.refusals.keys()]).toEqual([]);

    await deleteAll("streams");
    const begun = performance.now();
    const { id } = await at.api.submit({ workflow: "deleted", input: { n: 1 } });
    expect(await at.api.ended(id)).toMatchObject({ state: "succeeded" });
    expect(performance.now() - begun).toBeLessThan(8_000);
  } finally {
    await connection.close();
  }
});
