import { once } from "node:events";
import { afterEach, expect, test } from "vitest";
import { type SandboxFailure, type SandboxPool, type SandboxPoolOptions, type SandboxRun, sandboxPool } from "./sandbox-pool.ts";

const opened: SandboxPool[] = [];

function open(options: Partial<SandboxPoolOptions> = {}): SandboxPool {
  const pool = sandboxPool({ size: 2, queue: 100, graceMs: 250, ...options });
  opened.push(pool);
  return pool;
}

afterEach(async () => {
  await Promise.all(opened.splice(0).map((pool) => pool.close()));
});

function runOf(body: string, more: Partial<SandboxRun> = {}): SandboxRun {
  return {
    source: `export default (input) => { ${body} }`,
    input: "null",
    memoryBytes: 64 * 1024 * 1024,
    outputBytes: 1024 * 1024,
    nowMs: undefined,
    seed: 1,
    limitMs: 20_000,
    signal: new AbortController().signal,
    log: () => undefined,
    ...more,
  };
}

const loop = "console.log('begun'); for (;;);";
// Inside one built-in call the interpreter asks nobody: only ending the thread helps.
const deafLoop = "console.log('begun'); const a = []; a.length = 2 ** 32 - 1; a.join();";

async function faultKind(output: Promise<string>): Promise<string> {
  const failure = await output.then(
    () => undefined,
    (error: unknown) => error as SandboxFailure,
  );
  return failure?.fault.kind ?? "none";
}

/** A run that tells when its code has begun, and can be aborted. */
function begun(pool: SandboxPool, body: string) {
  const controller = new AbortController();
  const started = new EventTarget();
  const hasBegun = once(started, "begun");
  const output = pool.run(runOf(body, { signal: controller.signal, log: (line) => started.dispatchEvent(new Event(line)) }));
  output.catch(() => undefined);
  return { output, hasBegun, controller };
}

test("runs that are more than the threads wait, and all are answered", async () => {
  const pool = open();
  const outputs = await Promise.all(
    Array.from({ length: 20 }, (_, n) => pool.run(runOf("return input * 2;", { input: String(n) }))),
  );
  expect(outputs).toEqual(Array.from({ length: 20 }, (_, n) => String(n * 2)));
});

test("a runaway loop is ended at its limit, and what runs and waits beside it finishes", async () => {
  const pool = open();
  const runaways = [loop, deafLoop].map((body) => faultKind(pool.run(runOf(body, { limitMs: 300 }))));
  const others = Array.from({ length: 10 }, (_, n) => pool.run(runOf("return input;", { input: String(n) })));
  expect(await Promise.all(others)).toEqual(Array.from({ length: 10 }, (_, n) => String(n)));
  expect(await Promise.all(runaways)).toEqual(["timeout", "timeout"]);
});

test("the wait for a thread does not count against a run's limit", async () => {
  const pool = open({ size: 1 });
  const first = faultKind(pool.run(runOf(loop, { limitMs: 1500 })));
  const second = pool.run(runOf("return 1;", { limitMs: 1000 }));
  expect(await first).toBe("timeout");
  expect(await second).toBe("1");
});

test.each([
  ["a loop", loop],
  ["a built-in call", deafLoop],
])("an abort ends %s within a second, with its reason, and the next run goes on", async (_name, body) => {
  const pool = open({ size: 1 });
  const { output, hasBegun, controller } = begun(pool, body);
  await hasBegun;
  const next = pool.run(runOf("return 'next';"));
  const reason = new Error("cancelled");
  const abortedAt = performance.now();
  controller.abort(reason);
  await expect(output).rejects.toBe(reason);
  expect(performance.now() - abortedAt).toBeLessThan(1000);
  expect(await next).toBe('"next"');
});

test("a run that waits leaves the queue when it is aborted", async () => {
  const pool = open({ size: 1, queue: 1 });
  const running = begun(pool, loop);
  await running.hasBegun;
  const waiting = new AbortController();
  const output = pool.run(runOf("return 1;", { signal: waiting.signal }));
  const reason = new Error("cancelled");
  waiting.abort(reason);
  await expect(output).rejects.toBe(reason);
  // Its place is free again.
  const next = pool.run(runOf("return 2;"));
  running.controller.abort();
  expect(await next).toBe("2");
});

test("a run that is aborted before it starts never starts", async () => {
  const pool = open();
  const reason = new Error("too late");
  await expect(pool.run(runOf("return 1;", { signal: AbortSignal.abort(reason) }))).rejects.toBe(reason);
});

test("more runs than the queue takes are refused", async () => {
  const pool = open({ size: 1, queue: 1 });
  const running = begun(pool, loop);
  await running.hasBegun;
  const waiting = pool.run(runOf("return 1;"));
  expect(await faultKind(pool.run(runOf("return 2;")))).toBe("busy");
  running.controller.abort();
  expect(await waiting).toBe("1");
});

test("console lines arrive while the code runs", async () => {
  const pool = open({ size: 1 });
  const { output, hasBegun, controller } = begun(pool, loop);
  await hasBegun;
  controller.abort(new Error("seen"));
  await expect(output).rejects.toThrow("seen");
});

test("closing ends what is under way and what waits", async () => {
  const pool = open({ size: 1 });
  const running = begun(pool, loop);
  await running.hasBegun;
  const kinds = [running.output, pool.run(runOf("return 1;"))].map(faultKind);
  await pool.close();
  expect(await Promise.all(kinds)).toEqual(["lost", "lost"]);
});

test("many allocation bombs leave the process no larger than a few do", async () => {
  const pool = open({ size: 1 });
  const bomb = () => faultKind(pool.run(runOf("const a = []; for (;;) a.push('x'.repeat(1e6) + a.length);")));
  const peakMiB = async (times: number) => {
    let peak = 0;
    for (let i = 0; i < times; i++) {
      expect(await bomb()).toBe("memory");
      peak = Math.max(peak, process.memoryUsage().rss / 1024 / 1024);
    }
    return peak;
  };
  const warm = await peakMiB(6);
  expect(await peakMiB(14)).toBeLessThan(warm + 200);
});
