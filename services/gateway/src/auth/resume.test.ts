import { Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { LonghaulError } from "@longhaul/core";
import { TaskService } from "@longhaul/proto/task_service";
import { projectHeader, valueToJson } from "@longhaul/shared";
import { expect, test } from "vitest";
import { fakeBackends } from "../testing/fake-backends.ts";
import { startGateway } from "../testing/start-gateway.ts";

const config = { apiKeys: [{ project: "acme", key: "lh_0123456789abcdef" }] };

/** Backends that note what was resumed, and in which project the call came. */
function noting() {
  const fake = fakeBackends();
  const resumed: unknown[] = [];
  Object.assign(fake.tasks, {
    resume: (...[request, context]: Parameters<NonNullable<typeof fake.tasks.resume>>) => {
      if (request.token === "broken") throw new LonghaulError("internal", "no");
      const payload = request.payload && valueToJson(request.payload);
      if (payload === "wrong")
        throw new LonghaulError("invalid_input", "It does not fit.", { faults: [{ pointer: "/payload/choice", message: "no" }] });
      resumed.push([request.token, payload, context.requestHeader.get(projectHeader) ?? ""]);
      return { taskId: "t", node: "ok" };
    },
  });
  return { fake, resumed };
}

test("a resume token needs no key, and the whole body is the payload, whatever JSON it is", async () => {
  const { fake, resumed } = noting();
  await using gateway = await startGateway({ config, fake });
  const post = (body?: string, more: Readonly<Record<string, string>> = {}) =>
    fetch(`${gateway.url}/v1/resume/AQG_x-1`, {
      method: "POST",
      ...(body !== undefined && { body, headers: { "content-type": "application/json", ...more } }),
    });
  for (const body of ['{"choice":"approve"}', "[1]", '"text"', "null", "7"]) expect((await post(body)).status).toBe(200);
  const bare = await post();
  expect([bare.status, await bare.json()]).toEqual([200, { taskId: "t", node: "ok" }]);
  await post("1", { "longhaul-project": "victim" });
  expect(resumed).toEqual([
    ["AQG_x-1", { choice: "approve" }, ""],
    ["AQG_x-1", [1], ""],
    ["AQG_x-1", "text", ""],
    ["AQG_x-1", null, ""],
    ["AQG_x-1", 7, ""],
    ["AQG_x-1", undefined, ""],
    ["AQG_x-1", 1, ""],
  ]);
});

test("pointers are into the body, and neither answers nor the log show the token", async () => {
  const { fake } = noting();
  await using gateway = await startGateway({ config, fake });
  const post = (token: string, body: unknown) =>
    fetch(`${gateway.url}/v1/resume/${token}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const wrong = await post("secret-token", "wrong");
  const text = await wrong.text();
  expect([wrong.status, JSON.parse(text).errors]).toEqual([422, [{ pointer: "/choice", detail: "no" }]]);
  expect(text).not.toContain("secret-token");
  expect((await post("broken", 1)).status).toBe(500);
  expect(JSON.stringify(gateway.errors)).not.toContain("resume/broken");
});

test("everything beside it still needs a key, over HTTP and by RPC", async () => {
  const { fake, resumed } = noting();
  await using gateway = await startGateway({ config, fake });
  for (const path of ["/v1/tasks/x:signal", "/v1/tasks/x:resumeLink"])
    expect((await fetch(`${gateway.url}${path}`, { method: "POST", body: "{}" })).status).toBe(401);
  const tasks = createClient(TaskService, createGrpcTransport({ baseUrl: gateway.url }));
  await expect(tasks.createResumeLink({ id: "x", node: "ok" })).rejects.toMatchObject({ code: Code.Unauthenticated });
  await tasks.resume({ token: "by-rpc" }, { headers: { [projectHeader]: "victim" } });
  expect(resumed).toEqual([["by-rpc", undefined, ""]]);
});
