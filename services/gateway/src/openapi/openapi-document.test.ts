import { Validator } from "@seriousme/openapi-schema-validator";
import { expect, test } from "vitest";
import { publicServices } from "../clients.ts";
import { routeTable } from "../http/route-table.ts";
import { directClients, fakeBackends } from "../testing/fake-backends.ts";
import { openApiDocument } from "./openapi-document.ts";

const routes = routeTable(publicServices(directClients(fakeBackends())).map((one) => one.service));
const document = openApiDocument(routes, "0.0.0");

test("the document is valid OpenAPI 3.1", async () => {
  const validator = new Validator();
  const result = await validator.validate(structuredClone(document));
  expect(result).toMatchObject({ valid: true });
  expect(validator.version).toBe("3.1");
});

test("every method with an HTTP rule is there, described by its comment, with its statuses", () => {
  const text = JSON.stringify(document);
  const operations = Object.values(JSON.parse(text).paths).flatMap((path) =>
    Object.values(path as Record<string, { operationId: string; summary: string; description: string; responses: object }>),
  );
  for (const { service, method } of routes) {
    const operation = operations.find((one) => one.operationId === `${service.name}.${method.name}`);
    expect(operation?.description, `${service.name}.${method.name}`).toMatch(/\.$/);
    expect(operation?.summary.length).toBeGreaterThan(10);
    expect(Object.keys(operation?.responses ?? {})).toEqual(expect.arrayContaining(["400", "401", "403", "429", "500", "503"]));
  }
  expect(new Set(operations.map((one) => one.operationId)).size).toBe(operations.length);
  const submit = operations.find((one) => one.operationId === "TaskService.Submit");
  expect(Object.keys(submit?.responses ?? {})).toEqual([
    "200",
    "202",
    "400",
    "401",
    "403",
    "404",
    "413",
    "415",
    "422",
    "429",
    "500",
    "503",
  ]);
  expect(text).not.toContain("Execution");
});

test("the schema of a task has short state names, numbers, times and any JSON", () => {
  const { schemas } = JSON.parse(JSON.stringify(document)).components;
  expect(schemas.TaskState.enum).toEqual(["queued", "running", "waiting", "succeeded", "failed", "cancelled", "timed_out"]);
  expect(schemas.Task.properties).toMatchObject({
    version: { type: "integer" },
    createTime: { type: "string", format: "date-time" },
    state: { $ref: "#/components/schemas/TaskState" },
    labels: { additionalProperties: { type: "string" } },
  });
  expect(schemas.TaskServiceSubmitRequest.required).toEqual(["workflow"]);
});
