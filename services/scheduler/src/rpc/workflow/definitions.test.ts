import { readFileSync } from "node:fs";
import { ChangeKind, DryRunOutput, DryRunState } from "@longhaul/proto/workflow_service";
import { valueFromJson } from "@longhaul/shared";
import { afterEach, beforeEach, expect, test } from "vitest";
import { acme, type StartedScheduler, startScheduler } from "../../testing/start-scheduler.ts";

let world: StartedScheduler;
beforeEach(async () => {
  world = await startScheduler();
});
afterEach(() => world.stop());

const transform = (id: string, value: string) => ({ id, kind: "transform", with: value });

test("validate runs a sample only where one is given and the definition has no faults", async () => {
  const definition = { name: "w", nodes: [transform("a", "${ input.n + 1 }")], output: "${ nodes.a }" };
  const plain = await world.workflows.validate({ definition }, acme);
  expect(plain).toMatchObject({ valid: true, errors: [] });
  expect(plain.dryRun).toBeUndefined();
  const sampled = await world.workflows.validate({ definition, input: valueFromJson({ n: 1 }) }, acme);
  expect(sampled.dryRun).toMatchObject({
    complete: true,
    output: valueFromJson(2),
    nodes: [{ path: "a", state: DryRunState.WOULD_RUN, with: valueFromJson(2), outputFrom: DryRunOutput.COMPUTED }],
  });
  const faulty = await world.workflows.validate({ definition: { nodes: [] }, input: valueFromJson(null) }, acme);
  expect(faulty.valid).toBe(false);
  expect(faulty.dryRun).toBeUndefined();
});

test("a sample that is null is a sample, and recorded outputs stand in for what is not run", async () => {
  const definition = {
    name: "w",
    nodes: [{ id: "page", kind: "http", with: { url: "https://a.example" } }],
    output: { status: "${ nodes.page.status }", input: "${ input }" },
  };
  const ask = (recorded: Record<string, ReturnType<typeof valueFromJson>>) =>
    world.workflows.validate({ definition, input: valueFromJson(null), recorded }, acme);
  expect((await ask({ page: valueFromJson({ status: 201 }) })).dryRun).toMatchObject({
    complete: true,
    output: valueFromJson({ status: 201, input: null }),
    nodes: [{ outputFrom: DryRunOutput.RECORDED }],
  });
  expect((await ask({})).dryRun).toMatchObject({
    complete: false,
    output: valueFromJson({ status: null, input: null }),
    unknownOutput: [{ pointer: "/output/status" }],
  });
  expect((await ask({ pag: valueFromJson(1) })).dryRun).toMatchObject({ nodes: [], errors: [{ pointer: "/recorded" }] });
});

test("diff compares two revisions, by itself the latest with the one before", async () => {
  const put = (value: string) => world.workflows.put({ name: "w", definition: { nodes: [transform("a", value)] } }, acme);
  for (const value of ["one", "two", "three"]) await put(value);
  const latest = await world.workflows.diff({ name: "w" }, acme);
  expect(latest).toMatchObject({
    from: 2,
    to: 3,
    same: false,
    nodes: [
      {
        node: "a",
        change: ChangeKind.CHANGED,
        kind: "transform",
        changes: [{ pointer: "/with", before: valueFromJson("two"), after: valueFromJson("three"), cut: false }],
      },
    ],
  });
  expect(await world.workflows.diff({ name: "w", from: 3, to: 1 }, acme)).toMatchObject({
    from: 3,
    to: 1,
    nodes: [{ changes: [{ before: valueFromJson("three"), after: valueFromJson("one") }] }],
  });
  expect(await world.workflows.diff({ name: "w", to: 1 }, acme)).toMatchObject({ from: 1, to: 1, same: true });
  for (const request of [{ name: "none" }, { name: "w", from: 9 }, { name: "w", to: 9 }])
    await expect(world.workflows.diff(request, acme)).rejects.toMatchObject({ code: "workflow_not_found" });
  await expect(world.workflows.diff({ name: "w", from: -1 }, acme)).rejects.toMatchObject({
    code: "invalid_argument",
    faults: [{ pointer: "/from" }],
  });
});

test("an app of Dify becomes a definition that can be put; what is none is refused and nothing is stored", async () => {
  const file = new URL("../../../../../packages/workflow/src/import/dify/fixtures/triage-order.yml", import.meta.url);
  const found = await world.workflows.importDify({ text: readFileSync(file, "utf8") }, acme);
  expect(found).toMatchObject({ valid: true, errors: [], report: { app: "订单 triage", complete: true } });
  expect(found.report?.nodes[1]).toMatchObject({
    difyId: "b0",
    node: "which_way",
    carried: ["cases"],
    changed: [{ what: "edges" }],
  });
  expect((await world.workflows.list({}, acme)).workflows.map(({ name }) => name)).not.toContain("triage");
  const put = await world.workflows.put({ name: "triage", ...(found.definition && { definition: found.definition }) }, acme);
  expect(put.workflow?.revision).toBe(1);
  await expect(world.workflows.importDify({ text: "kind: app\napp: {mode: advanced-chat}" }, acme)).rejects.toMatchObject({
    code: "invalid_argument",
    faults: [{ pointer: "/app/mode", mend: expect.stringContaining("workflow") }],
  });
});
