import { LonghaulError } from "@longhaul/core";
import { expect, test } from "vitest";
import { silentLogger } from "../log/logger.ts";
import { mainOf, type ProcessLike } from "./main-of.ts";
import { type Part, part } from "./part.ts";
import { readiness } from "./readiness.ts";
import { aborted, runParts } from "./run-parts.ts";

function recorder(ready = readiness()) {
  const seen: string[] = [];
  const make = (name: string, does: Partial<Part> = {}) =>
    part(name, {
      start: async () => {
        seen.push(`${name} start`);
        await does.start?.();
      },
      drain: async (deadline) => {
        seen.push(`${name} drain ${ready.isReady() ? "while ready" : ""}`.trim());
        await does.drain?.(deadline);
      },
      stop: async () => {
        seen.push(`${name} stop`);
        await does.stop?.();
      },
    });
  return { seen, make, ready };
}

const base = { drainMs: 60_000, log: silentLogger };

test("parts start in order and drain, then stop, in reverse, with readiness gone first", async () => {
  const { seen, make, ready } = recorder();
  const quit = new AbortController();
  await runParts([make("a"), make("b")], { ...base, quit: quit.signal, ready, onStarted: () => quit.abort() });
  expect(seen).toEqual(["a start", "b start", "b drain", "a drain", "b stop", "a stop"]);
  expect(ready.isReady()).toBe(false);
});

test("a start that fails stops what had started, and its error comes out", async () => {
  const { seen, make, ready } = recorder();
  const bad = make("bad", { start: () => Promise.reject(new Error("port taken")) });
  const run = runParts([make("a"), bad, make("c")], { ...base, quit: new AbortController().signal, ready });
  await expect(run).rejects.toThrow("port taken");
  expect(seen).toEqual(["a start", "bad start", "a stop"]);
});

test("quitting during the start starts no more parts", async () => {
  const { seen, make } = recorder();
  const quit = new AbortController();
  const first = make("a", { start: async () => quit.abort() });
  await runParts([first, make("b")], { ...base, quit: quit.signal });
  expect(seen).toEqual(["a start", "a drain", "a stop"]);
});

test("a drain that never ends is cut by the time allowed, and everything still stops", async () => {
  const { seen, make } = recorder();
  const quit = new AbortController();
  const hung = make("hung", { drain: () => new Promise(() => {}) });
  await runParts([make("a"), hung], { ...base, drainMs: 5, quit: quit.signal, onStarted: () => quit.abort() });
  expect(seen.slice(-2)).toEqual(["hung stop", "a stop"]);
});

test("force cuts the drain at once and part sees its deadline", async () => {
  const { seen, make } = recorder();
  const quit = new AbortController();
  const force = new AbortController();
  const slow = make("slow", {
    drain: async (deadline) => {
      force.abort();
      await aborted(deadline);
      seen.push("slow gave up");
    },
  });
  await runParts([slow], { ...base, quit: quit.signal, force: force.signal, onStarted: () => quit.abort() });
  expect(seen).toEqual(["slow start", "slow drain", "slow gave up", "slow stop"]);
});

test("a drain or stop that fails or hangs holds up nobody", async () => {
  const { seen, make } = recorder();
  const quit = new AbortController();
  const parts = [
    make("a"),
    make("b", { drain: () => Promise.reject(new Error("x")), stop: () => Promise.reject(new Error("y")) }),
    make("c", { stop: () => new Promise(() => {}) }),
  ];
  await runParts(parts, { ...base, stopMs: 5, quit: quit.signal, onStarted: () => quit.abort() });
  expect(seen.filter((s) => s.endsWith("stop"))).toEqual(["c stop", "b stop", "a stop"]);
});

test("readiness tells of changes only, until told to stop", () => {
  const ready = readiness();
  const seen: boolean[] = [];
  const off = ready.onChange((is) => seen.push(is));
  ready.set(false);
  ready.set(true);
  ready.set(true);
  ready.set(false);
  off();
  ready.set(true);
  expect(seen).toEqual([true, false]);
});

function fakeProcess() {
  const listeners = new Map<string, (reason: unknown) => void>();
  let said = "";
  let exited: (code: number) => void = () => {};
  const exit = new Promise<number>((resolve) => {
    exited = resolve;
  });
  const host: ProcessLike = {
    env: { PORT: "1" },
    stderr: { write: (text) => (said += text) },
    on: (event, listener) => listeners.set(event, listener),
    exit: (code) => exited(code),
  };
  return { host, exit, said: () => said, send: (event: string, reason?: unknown) => listeners.get(event)?.(reason) };
}

test("SIGTERM drains and exits 0", async () => {
  const fake = fakeProcess();
  const { seen, make } = recorder();
  void mainOf("solo", () => ({ ...base, parts: [make("a")], onStarted: () => fake.send("SIGTERM") }), fake.host);
  expect(await fake.exit).toBe(0);
  expect(seen).toEqual(["a start", "a drain", "a stop"]);
  expect(fake.said()).toBe("");
});

test("a second signal cuts a hanging drain short and still exits 0, but not one that came along with the first", async () => {
  const fake = fakeProcess();
  const { make } = recorder();
  let now = 0;
  let wasCut: boolean | undefined;
  const hung = make("a", {
    drain: (deadline) => {
      fake.send("SIGINT");
      wasCut = deadline.aborted;
      now = 500;
      fake.send("SIGTERM");
      return new Promise(() => {});
    },
  });
  void mainOf(
    "solo",
    () => ({ ...base, parts: [hung], onStarted: () => fake.send("SIGINT") }),
    fake.host,
    () => now,
  );
  expect(await fake.exit).toBe(0);
  expect(wasCut).toBe(false);
});

test("a configuration that is wrong is one sentence on stderr and exit 1", async () => {
  const fake = fakeProcess();
  void mainOf(
    "solo",
    () => {
      throw new LonghaulError("invalid_argument", "PORT is odd");
    },
    fake.host,
  );
  expect(await fake.exit).toBe(1);
  expect(fake.said()).toBe("longhaul solo: PORT is odd\n");
});

test("an error that nobody caught ends the process with 1 and says no secret", async () => {
  const fake = fakeProcess();
  void mainOf(
    "solo",
    () => ({ ...base, parts: [], onStarted: () => fake.send("unhandledRejection", new Error("nats://u:pw@h gone")) }),
    fake.host,
  );
  expect(await fake.exit).toBe(1);
  expect(fake.said()).toBe("longhaul solo: nats://[redacted]@h gone\n");
});

test("a port that is taken says what to set", async () => {
  const fake = fakeProcess();
  const taken = part("server", {
    start: () => Promise.reject(Object.assign(new Error("listen EADDRINUSE 127.0.0.1:8080"), { code: "EADDRINUSE" })),
  });
  void mainOf("solo", () => ({ ...base, parts: [taken] }), fake.host);
  expect(await fake.exit).toBe(1);
  expect(fake.said()).toContain("set PORT");
});
