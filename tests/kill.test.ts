import { describe, expect, test } from "vitest";
import { startLoad } from "./src/load.ts";
import { stage } from "./src/stage.ts";
import { cluster, solo } from "./src/system.ts";

// The shortest lease there is, so that what a killed executor held comes back soon.
const env = { LEASE_MS: "1500" };

describe("solo", () => {
  const at = stage(() => solo({ env }));

  test("kill -9 of the process under load: every accepted task ends right, once, and is told of", async () => {
    const load = await startLoad({ api: at.api, outside: at.outside, hooks: at.hooks, name: "solo", tasks: 240 });
    for (const count of [60, 120, 180]) {
      await load.reached(count);
      await at.system.service("solo").restart();
    }
    await load.expectKept();
    expect(load.accepted.size).toBeGreaterThanOrEqual(240);
  });
});

describe("cluster", () => {
  const at = stage(() => cluster({ env }));

  test.each(["gateway", "scheduler", "executor", "notifier"])(
    "kill -9 of the %s under load: every accepted task ends right, once, and is told of",
    async (victim) => {
      const load = await startLoad({ api: at.api, outside: at.outside, hooks: at.hooks, name: `kill-${victim}`, tasks: 160 });
      for (const count of [50, 110]) {
        await load.reached(count);
        await at.system.service(victim).restart();
      }
      await load.expectKept();
    },
  );

  test("kill -9 of all four at once: every accepted task ends right, once, and is told of", async () => {
    const load = await startLoad({ api: at.api, outside: at.outside, hooks: at.hooks, name: "kill-all", tasks: 120 });
    await load.reached(60);
    await Promise.all(at.system.services.map((one) => one.kill()));
    await Promise.all(at.system.services.map((one) => one.restart()));
    await load.expectKept();
  });
});
