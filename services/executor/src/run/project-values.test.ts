import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { LonghaulError } from "@longhaul/core";
import {
  ExecutionService,
  ExecutionServiceReadConnectionResponseSchema,
  ExecutionServiceReadSecretsResponseSchema,
} from "@longhaul/proto/execution_service";
import { directClient } from "@longhaul/shared";
import { NodeFailure } from "@longhaul/workflow";
import { expect, test } from "vitest";
import { claimed } from "../testing/harness.ts";
import type { Hold } from "./hold.ts";
import { inboxOf } from "./inbox.ts";
import { projectValues } from "./project-values.ts";

function holdOf(project = "acme"): Hold {
  return {
    task: claimed("echo-1", 1, { project }),
    abort: new AbortController(),
    inbox: inboxOf(async () => null),
    leaseUntil: 1,
    provenAt: 0,
    clockAheadMs: 0,
    stopped: undefined,
  };
}

function world() {
  const clock = { ms: 0 };
  const asked: string[] = [];
  const values: Record<string, string> = { A: "value-a", B: "value-b" };
  const failing: LonghaulError[] = [];
  const fail = () => {
    const why = failing.shift();
    if (why !== undefined) throw why;
  };
  const client = directClient(ExecutionService, {
    async readSecrets({ hold, executor, names }) {
      asked.push(`${hold?.project} ${hold?.attempt} ${executor}: ${names.length > 5 ? names.length : names.join(" ")}`);
      fail();
      const found = names.flatMap((name) => (values[name] === undefined ? [] : [[name, values[name]]]));
      return create(ExecutionServiceReadSecretsResponseSchema, { values: Object.fromEntries(found) });
    },
    async readConnection({ hold, name }) {
      asked.push(`${hold?.project}: ${name}`);
      fail();
      if (name === "none") throw new LonghaulError("not_found", "There is no such connection.");
      const bare = { name, kind: "openai", baseUrl: "http://m.test" };
      if (name === "bare") return create(ExecutionServiceReadConnectionResponseSchema, bare);
      if (name === "broken") return create(ExecutionServiceReadConnectionResponseSchema, { ...bare, missingSecret: "KEY" });
      return create(ExecutionServiceReadConnectionResponseSchema, {
        ...bare,
        apiKey: "sk-1",
        defaultModel: "small",
        allowedModels: ["small"],
        concurrency: 2,
        headers: { "x-a": "b" },
        timeout: durationFromMs(5_000),
      });
    },
  });
  return { clock, asked, values, failing, read: projectValues(client, "executor-1", () => clock.ms) };
}

test("secrets are asked for once in 30 s per project; what does not exist is asked for each time", async () => {
  const { clock, asked, values, read } = world();
  const hold = holdOf();
  expect(await read.secrets(hold, ["A", "NOPE"])).toEqual({ A: "value-a" });
  values["A"] = "changed";
  values["NOPE"] = "set now";
  clock.ms = 29_999;
  expect(await read.secrets(hold, ["A", "NOPE"])).toEqual({ A: "value-a", NOPE: "set now" });
  expect(await read.secrets(holdOf("globex"), ["A"])).toEqual({ A: "changed" });
  clock.ms = 30_000;
  expect(await read.secrets(hold, ["A"])).toEqual({ A: "changed" });
  expect(asked).toEqual([
    "acme 1 executor-1: A NOPE",
    "acme 1 executor-1: NOPE",
    "globex 1 executor-1: A",
    "acme 1 executor-1: A",
  ]);
});

test("very many names are asked for in groups", async () => {
  const { asked, read } = world();
  await read.secrets(
    holdOf(),
    Array.from({ length: 1_100 }, (_, i) => `N${i}`),
  );
  expect(asked).toEqual(["acme 1 executor-1: 500", "acme 1 executor-1: 500", "acme 1 executor-1: 100"]);
});

test("a connection is what the scheduler says of it, for 30 s", async () => {
  const { clock, asked, read } = world();
  const connection = {
    name: "default",
    kind: "openai",
    baseUrl: "http://m.test",
    apiKey: "sk-1",
    defaultModel: "small",
    allowedModels: ["small"],
    concurrency: 2,
    requestsPerMinute: 0,
    tokensPerMinute: 0,
    headers: { "x-a": "b" },
    timeoutMs: 5_000,
  };
  expect(await read.connection(holdOf(), "default")).toEqual(connection);
  clock.ms = 29_999;
  await read.connection(holdOf(), "default");
  expect(asked).toEqual(["acme: default"]);
  clock.ms = 30_000;
  await read.connection(holdOf(), "default");
  expect(asked).toHaveLength(2);
  const bare = await read.connection(holdOf(), "bare");
  expect([Object.hasOwn(bare, "apiKey"), Object.hasOwn(bare, "defaultModel"), bare.timeoutMs]).toEqual([false, false, 600_000]);
});

test("a connection that does not exist, or whose key does not, fails its node with what to do", async () => {
  const { read } = world();
  const none = await read.connection(holdOf(), "none").catch((why: unknown) => why);
  expect(none).toBeInstanceOf(NodeFailure);
  expect(none).toMatchObject({ code: "connection_not_found", retryable: false, sent: "no" });
  expect(String(none)).toContain("PUT /v1/connections/none");
  const broken = await read.connection(holdOf(), "broken").catch((why: unknown) => why);
  expect(broken).toMatchObject({ code: "secret_not_found", details: { connection: "broken", secret: "KEY" } });
  expect(String(broken)).toContain("PUT /v1/secrets/KEY");
});

test("a scheduler that is away is asked again; one that says that the hold is lost ends the run", async () => {
  const { asked, failing, read } = world();
  failing.push(new LonghaulError("unavailable", "away"));
  expect(await read.secrets(holdOf(), ["A"])).toEqual({ A: "value-a" });
  expect(asked).toHaveLength(2);
  const hold = holdOf();
  failing.push(new LonghaulError("precondition_failed", "lost"));
  await expect(read.secrets(hold, ["B"])).rejects.toMatchObject({ code: "precondition_failed" });
  expect([hold.stopped, hold.abort.signal.aborted]).toEqual(["lost", true]);
});
