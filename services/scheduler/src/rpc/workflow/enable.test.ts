import { afterAll, beforeAll, expect, test } from "vitest";
import { acme, type StartedScheduler, startScheduler } from "../../testing/start-scheduler.ts";

let self: StartedScheduler;
beforeAll(async () => {
  self = await startScheduler();
});
afterAll(() => self.stop());

test("a disabled workflow takes no new tasks until it is enabled; what runs goes on", async () => {
  const before = await self.accepted();
  const { workflow } = await self.workflows.disable({ name: "echo" }, acme);
  expect(workflow).toMatchObject({ name: "echo", enabled: false, revision: 1 });
  const [refused] = await self.submit({});
  expect(refused?.result).toMatchObject({
    case: "refused",
    value: { code: "conflict", message: expect.stringContaining(":enable") },
  });
  expect(await self.claim(before)).toBe(true);
  expect((await self.workflows.get({ name: "echo" }, acme)).workflow?.enabled).toBe(false);
  expect((await self.workflows.list({}, acme)).workflows.map(({ name, enabled }) => [name, enabled])).toEqual([
    ["echo", false],
    ["strict", true],
  ]);
  expect((await self.workflows.enable({ name: "echo" }, acme)).workflow?.enabled).toBe(true);
  await self.accepted();
});

test("a new revision does not enable it, and saying it twice changes nothing", async () => {
  await self.workflows.disable({ name: "strict" }, acme);
  const definition = { name: "strict", nodes: [{ id: "b", kind: "transform", with: 1 }] };
  const { workflow } = await self.workflows.put({ name: "strict", definition }, acme);
  expect(workflow).toMatchObject({ enabled: false, revision: 2 });
  const again = await self.workflows.disable({ name: "strict" }, acme);
  expect(again.workflow).toMatchObject({ enabled: false, revision: 2 });
});

test("there must be such a workflow in the project", async () => {
  await expect(self.workflows.enable({ name: "nope" }, acme)).rejects.toMatchObject({ code: "workflow_not_found" });
  await expect(self.workflows.disable({ name: "echo" }, { headers: { "longhaul-project": "globex" } })).rejects.toMatchObject({
    code: "workflow_not_found",
  });
});
