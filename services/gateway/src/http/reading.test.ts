import { LonghaulError } from "@longhaul/core";
import { ConnectionService } from "@longhaul/proto/connection_service";
import { DeliveryService } from "@longhaul/proto/delivery_service";
import { ExecutionService } from "@longhaul/proto/execution_service";
import { LimitService } from "@longhaul/proto/limit_service";
import { SecretService } from "@longhaul/proto/secret_service";
import { TaskService } from "@longhaul/proto/task_service";
import { WorkerService } from "@longhaul/proto/worker_service";
import { WorkflowService } from "@longhaul/proto/workflow_service";
import fc from "fast-check";
import { expect, test } from "vitest";
import { highestVersion, matchesNone, readIfNoneMatch } from "./entity-tag.ts";
import { parseJson } from "./json-text.ts";
import { pathTemplate } from "./path-template.ts";
import { readPreferWait } from "./prefer.ts";
import { routeTable } from "./route-table.ts";
import { parseYaml } from "./yaml-text.ts";

test("the routes come from the descriptors, additional bindings included; services without HTTP rules have none", () => {
  const routes = routeTable([
    TaskService,
    WorkflowService,
    WorkerService,
    SecretService,
    ConnectionService,
    LimitService,
    DeliveryService,
  ]);
  expect(routes.map(({ verb, path }) => `${verb} ${path.text}`)).toEqual([
    "POST /v1/tasks",
    "GET /v1/tasks/{id}",
    "POST /v1/tasks:batchGet",
    "GET /v1/tasks",
    "POST /v1/tasks/{id}:cancel",
    "POST /v1/tasks:batchCancel",
    "POST /v1/tasks/{id}:retry",
    "POST /v1/tasks/{id}:signal",
    "POST /v1/tasks/{id}:resumeLink",
    "POST /v1/resume/{token}",
    "GET /v1/tasks/{id}/events",
    "GET /v1/tasks/{task_id}/nodes",
    "PUT /v1/workflows/{name}",
    "GET /v1/workflows/{name}",
    "GET /v1/workflows/{name}/revisions/{revision}",
    "GET /v1/workflows",
    "GET /v1/workflows/{name}/revisions",
    "POST /v1/workflows:validate",
    "POST /v1/workflows:dryRun",
    "GET /v1/workflows/{name}/revisions:diff",
    "POST /v1/workflows:importDify",
    "POST /v1/workflows/{name}:enable",
    "POST /v1/workflows/{name}:disable",
    "DELETE /v1/workflows/{name}",
    "POST /v1/workers:poll",
    "POST /v1/workers:heartbeat",
    "POST /v1/workers:release",
    "POST /v1/jobs/{id}:complete",
    "POST /v1/jobs/{id}:fail",
    "POST /v1/jobs/{id}:progress",
    "POST /v1/jobs/{id}:log",
    "PUT /v1/secrets/{name}",
    "GET /v1/secrets",
    "DELETE /v1/secrets/{name}",
    "PUT /v1/connections/{name}",
    "GET /v1/connections/{name}",
    "GET /v1/connections",
    "DELETE /v1/connections/{name}",
    "PUT /v1/limits/{key}",
    "GET /v1/limits/{key}",
    "GET /v1/limits",
    "DELETE /v1/limits/{key}",
    "GET /v1/tasks/{task_id}/deliveries",
    "GET /v1/deliveries/{id}",
    "POST /v1/deliveries/{id}:replay",
    "POST /v1/deliveries:replayFailed",
  ]);
  expect(routeTable([ExecutionService])).toEqual([]);
});

test("a path template gives Fastify a route that keeps verbs apart", () => {
  const template = pathTemplate("/v1/tasks/{id}:cancel");
  expect(template).toMatchObject({ params: ["id"], route: "/v1/tasks/:id([^:/]+)::cancel" });
  expect(template.pattern.test("/v1/tasks/a:cancel")).toBe(true);
  expect(template.pattern.test("/v1/tasks/a:retry")).toBe(false);
  const whole = pathTemplate("/v1/limits/{key=*}");
  expect(whole).toMatchObject({ text: "/v1/limits/{key}", params: ["key"], route: "/v1/limits/:key([^/]+)" });
  expect(whole.pattern.test("/v1/limits/workflow:echo")).toBe(true);
  expect(() => pathTemplate("/v1/{name=a/*}")).toThrow(/does not know/);
});

test.each([
  ["wait=5", 5],
  ["respond-async, wait=7; x=y", 7],
  ['WAIT = "9"', 9],
  ["wait=600", 60],
  ["wait=0", undefined],
  ["wait=-1", undefined],
  ["wait=1.5", undefined],
  ["wait=x, wait=3", 3],
  ["waiting=3", undefined],
  ["", undefined],
  [undefined, undefined],
])("Prefer %j waits %j", (header, seconds) => {
  expect(readPreferWait(header)).toBe(seconds);
});

test("If-None-Match is read as a list, weak or strong, and garbage matches nothing", () => {
  expect(readIfNoneMatch('"1", W/"2" ,"a,b"')).toEqual(["1", "2", "a,b"]);
  expect(readIfNoneMatch(" * ")).toBe("*");
  expect(readIfNoneMatch("3")).toBeUndefined();
  expect(matchesNone("*", "9")).toBe(true);
  expect(matchesNone(["1", "2"], "2")).toBe(true);
  expect(highestVersion(["x", "12", "7"])).toBe(12n);
  expect(highestVersion(["99999999999999999999999"])).toBeUndefined();
});

test.each([
  ['{"a": 1,}', "expected a key (in double quotes) at line 1, column 9"],
  ['{"a" 1}', "expected a colon at line 1, column 6"],
  ["[1 2]", "expected a comma or ] at line 1, column 4"],
  ['{"a":\n  tru}', "expected a value at line 2, column 3"],
  ["[01]", "expected a value or ] at line 1, column 2"],
  ['{"a":"x', "it ends inside a string at line 1, column 8"],
  ['["a\nb"]', "a control character in a string"],
  ['["\\x"]', "an unknown escape in a string"],
  ["[1", "it ends where a comma or ] is expected"],
  ["{} x", "expected nothing more at line 1, column 4"],
  ["hello", "expected a value at line 1, column 1"],
  ["", "it ends where a value is expected"],
])("malformed JSON %j is told where and why", (text, why) => {
  expect(() => parseJson(Buffer.from(text))).toThrow(why);
});

test("what JSON.parse takes is taken, everything else is a LonghaulError, and never anything else", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.json(),
        fc.string(),
        fc.json().map((text) => text.slice(0, -1)),
        fc.json().map((text) => text.replace(/[:,]/, "")),
      ),
      (text) => {
        let expected: unknown;
        let isJson = true;
        try {
          expected = JSON.parse(text);
        } catch {
          isJson = false;
        }
        if (isJson) expect(parseJson(Buffer.from(text))).toEqual(expected);
        else expect(() => parseJson(Buffer.from(text))).toThrow(LonghaulError);
      },
    ),
    { numRuns: 1_000 },
  );
});

test("YAML becomes JSON values; what JSON lacks, bombs and broken text are refused", () => {
  expect(parseYaml(Buffer.from("a: 1\nb: [x, ~, 1.5, true]\nc: &x {d: 'e'}\nf: *x\n__proto__: {g: 1}\nh: 2026-01-01\n"))).toEqual(
    JSON.parse('{"a":1,"b":["x",null,1.5,true],"c":{"d":"e"},"f":{"d":"e"},"__proto__":{"g":1},"h":"2026-01-01"}'),
  );
  const bomb = `a: &a [x]\n${Array.from(
    { length: 20 },
    (_, at) =>
      `b${at}: &b${at} [${Array(10)
        .fill(at === 0 ? "*a" : `*b${at - 1}`)
        .join(",")}]`,
  ).join("\n")}`;
  for (const text of [
    "a: .inf",
    "a: [",
    "a: 1\na: 2",
    "a: *nope",
    bomb,
    "[".repeat(100),
    "- ".repeat(100_000),
    "a: b: c",
    "---\na\n---\nb",
    `${"[".repeat(70)}${"]".repeat(70)}`,
    "&a [*a]",
  ]) {
    expect(() => parseYaml(Buffer.from(text)), text.slice(0, 40)).toThrow(LonghaulError);
  }
  expect(() => parseYaml(Buffer.alloc(2_000_000, "a"))).toThrow(/at most/);
});
