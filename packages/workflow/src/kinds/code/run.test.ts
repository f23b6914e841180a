import type { Json } from "@longhaul/core";
import { afterAll, expect, test } from "vitest";
import { type NodeContext, NodeFailure, Suspension } from "../kind.ts";
import { maxConsoleLineLength, maxConsoleLines } from "./console-limits.ts";
import { codeKindOn, defaultLimitMs, maxLimitMs } from "./run.ts";
import { type PoolFault, SandboxFailure, type SandboxPool, type SandboxRun, sandboxPool } from "./sandbox-pool.ts";

const pool = sandboxPool({ size: 2, queue: 100, graceMs: 250 });
afterAll(() => pool.close());

interface Given {
  readonly with?: Record<string, Json>;
  readonly operationKey?: string;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly pool?: SandboxPool;
}

interface Ran {
  readonly output: Promise<Json>;
  readonly lines: readonly string[];
}

function start(source: string, given: Given = {}): Ran {
  const lines: string[] = [];
  const context: Partial<NodeContext> = {
    path: "code",
    input: { source, ...given.with },
    signal: given.signal ?? new AbortController().signal,
    operationKey: given.operationKey ?? "key-1",
    timeoutMs: given.timeoutMs ?? Number.POSITIVE_INFINITY,
    log: (line) => lines.push(line),
  };
  // The kind uses nothing else of its context; a call of what is missing would fail the test.
  const output = Promise.resolve(codeKindOn(() => given.pool ?? pool).run(context as NodeContext)).then((result) => {
    if (result instanceof Suspension) throw new Error("code never waits");
    return result;
  });
  return { output, lines };
}

const run = (source: string, given?: Given) => start(source, given).output;

async function failure(source: string, given?: Given): Promise<NodeFailure> {
  const thrown = await run(source, given).then(
    (output) => new Error(`it answered ${JSON.stringify(output)}`),
    (error: unknown) => error,
  );
  if (thrown instanceof NodeFailure) return thrown;
  throw thrown;
}

test("the default export receives the input, and what it returns is the output", async () => {
  const source = "const double = (n) => n * 2;\nexport default function ({ list }) { return { doubled: list.map(double) }; }";
  expect(await run(source, { with: { input: { list: [1, 2.5, -3] } } })).toEqual({ doubled: [2, 5, -6] });
  expect(await run("export default (input) => input")).toBeNull();
});

test("an async function, a promise and a top-level await are waited for", async () => {
  const source =
    "const one = await Promise.resolve(1);\nexport default async (n) => { await null; return [one, n, await Promise.all([2, 3])]; }";
  expect(await run(source, { with: { input: 7 } })).toEqual([1, 7, [2, 3]]);
});

test("a default export may be named later, and a class instance comes out as its fields", async () => {
  const source =
    "class Point { constructor(x) { this.x = x; } get y() { return 1; } }\nconst make = () => new Point(4);\nexport { make as default };";
  expect(await run(source)).toEqual({ x: 4 });
});

test("values come through as JSON: dates as text, undefined properties left out, keys like __proto__ as data", async () => {
  const source = `export default (input) => ({ at: new Date(0), gone: undefined, input, text: "ü\\u2028\\u0000😀" })`;
  const input: Json = JSON.parse('{ "__proto__": { "polluted": true }, "constructor": 1, "toString": null }');
  const output = await run(source, { with: { input } });
  expect(JSON.stringify(output)).toBe(
    '{"at":"1970-01-01T00:00:00.000Z","input":{"__proto__":{"polluted":true},"constructor":1,"toString":null},"text":"ü\u2028\\u0000😀"}',
  );
  expect(Reflect.get({}, "polluted")).toBeUndefined();
});

test("console lines become the node's log, marked by level, in the order written", async () => {
  const { output, lines } = start(`export default () => {
    console.log("a", 1, { b: [2n === 2n] }, null, undefined);
    console.warn("two\\nlines");
    console.error(new TypeError("no"));
    return lines = 3;
  }
  let lines;`);
  expect(await output).toBe(3);
  expect(lines.slice(0, 4)).toEqual(['a 1 {"b":[true]} null undefined', "warn: two", "lines", "error: TypeError: no"]);
  expect(lines.join("\n")).not.toContain("prelude");
});

test("console lines of a run that fails are kept", async () => {
  const { output, lines } = start("export default () => { console.log('before'); null.x; }");
  await expect(output).rejects.toThrow("null");
  expect(lines).toEqual(["before"]);
});

test("a console that floods is cut: in lines, in the length of a line, and without failing the run", async () => {
  const flood = start("export default () => { for (let i = 0; i < 1e5; i++) console.log(i); return 'done'; }");
  expect(await flood.output).toBe("done");
  expect(flood.lines).toHaveLength(maxConsoleLines + 1);
  expect(flood.lines.at(-2)).toBe(String(maxConsoleLines - 1));
  expect(flood.lines.at(-1)).toContain("the rest is left out");
  const long = start("export default () => { console.log('x'.repeat(1e6)); return 1; }");
  await long.output;
  expect(long.lines).toEqual([`${"x".repeat(maxConsoleLineLength)}...`]);
});

test("an error tells its name, its message and its place in the source", async () => {
  expect(await failure("export default (input) => {\n  return input.a.b;\n}")).toMatchObject({
    code: "code_error",
    message: "TypeError: cannot read property 'a' of null (line 2, column 10)",
    retryable: false,
    details: { name: "TypeError", line: 2, column: 10 },
  });
  const own = "export default async () => {\n throw Object.assign(new Error('not even'), { name: 'Odd' }); }";
  expect(await failure(own)).toMatchObject({ code: "code_error", message: expect.stringMatching(/^Odd: not even \(line 2, /) });
});

test.each([
  ["export default () => { throw 'just text'; }", "the code threw just text"],
  ["export default () => { throw { why: 1 }; }", 'the code threw {"why":1}'],
  ["export default () => Promise.reject(undefined)", "the code threw undefined"],
])("what is thrown need not be an error: %s", async (source, message) => {
  expect(await failure(source)).toMatchObject({ code: "code_error", message });
});

test("a syntax error, a missing default export and one that is no function fail clearly", async () => {
  expect(await failure("export default () => {\n  let x = ;\n}")).toMatchObject({
    code: "code_error",
    message: expect.stringMatching(/^SyntaxError: .*\(line 2, column 11\)$/),
  });
  expect((await failure("export const x = 1")).message).toContain("no default export that is a function");
  expect((await failure("export default 42")).message).toContain("no default export that is a function");
});

test.each([
  "import fs from 'node:fs'; export default () => 1",
  "export * from './other.js'; export default () => 1",
  "export default async () => (await import('node:fs')).readFileSync('/etc/passwd')",
])("nothing can be imported: %s", async (source) => {
  expect(await failure(source)).toMatchObject({
    code: "code_error",
    message: expect.stringMatching(/cannot import .*no modules/),
  });
});

test("there is no clock unless one is given", async () => {
  for (const use of ["Date.now()", "new Date()", "Date()", "new Date(0).constructor.now()", "Reflect.construct(Date, [])"])
    expect((await failure(`export default () => ${use}`)).message).toContain("there is no clock here");
  expect(
    await run(
      "export default () => [new Date(5).getTime(), Date.UTC(2020, 0), Date.parse('2020-01-01'), new Date(0) instanceof Date]",
    ),
  ).toEqual([5, 1577836800000, 1577836800000, true]);
});

test("a given clock stands still, in UTC", async () => {
  const source =
    "export default () => { let n = 1e5; while (n--); return [Date.now(), new Date().toISOString(), new Date().getTimezoneOffset()]; }";
  const expected = [1767225600000, "2026-01-01T00:00:00.000Z", 0];
  expect(await run(source, { with: { now: "2026-01-01T01:00:00+01:00" } })).toEqual(expected);
  expect(await run(source, { with: { now: 1767225600000 } })).toEqual(expected);
});

test("Math.random repeats itself for the same operation key and differs for another", async () => {
  const source = "export default () => [Math.random(), Math.random(), Math.random()]";
  const first = await run(source);
  expect(await run(source)).toEqual(first);
  expect(await run(source, { operationKey: "key-2" })).not.toEqual(first);
  expect(new Set(first as readonly number[]).size).toBe(3);
});

test("nothing of the host is there", async () => {
  const names = [
    "process",
    "require",
    "module",
    "global",
    "fetch",
    "setTimeout",
    "setInterval",
    "setImmediate",
    "WebAssembly",
    "performance",
    "crypto",
    "navigator",
    "Worker",
    "Atomics",
    "SharedArrayBuffer",
    "WeakRef",
    "FinalizationRegistry",
    "structuredClone",
    "std",
    "os",
    "emit",
  ];
  const source = `export default (names) => names.filter((name) => name in globalThis || new Function("return typeof " + name)() !== "undefined")`;
  expect(await run(source, { with: { input: names } })).toEqual([]);
});

test("nothing is left of an earlier run", async () => {
  const single = sandboxPool({ size: 1, queue: 10, graceMs: 250 });
  const leave =
    "globalThis.left = 1; Object.prototype.left = 1; Array.prototype.map = null; JSON.parse = null; export default () => left";
  const look = "export default () => [typeof left, typeof {}.left, typeof [].map, typeof JSON.parse]";
  expect(await run(leave, { pool: single })).toBe(1);
  expect(await run(look, { pool: single })).toEqual(["undefined", "undefined", "function", "function"]);
  await single.close();
});

test("results that JSON cannot say fail, and tell where", async () => {
  const cases: readonly (readonly [string, string])[] = [
    ["undefined", "returned nothing"],
    ["{ a: [() => 1] }", "a function at /a/0"],
    ["[1, undefined]", "undefined at /1"],
    ["({ n: 0 / 0 })", "NaN at /n"],
    ["[-1 / 0]", "-Infinity at /0"],
    ["1n", "a bigint"],
    ["[Symbol('s')]", "a symbol at /0"],
    ["({ seen: new Map([[1, 2]]) })", "a Map at /seen"],
    ["[new Set()]", "a Set at /0"],
    ["new Error('e')", "an Error"],
    ["[Promise.resolve(1)]", "a Promise at /0"],
    ["new Uint8Array(2)", "binary data"],
    ["(() => { const a = {}; a.b = { a }; return a; })()", "a circle at /b/a"],
    ["JSON.parse('['.repeat(61) + ']'.repeat(61))", "more than 60 levels"],
  ];
  for (const [expression, message] of cases)
    expect(await failure(`export default () => (${expression})`)).toMatchObject({
      code: "code_invalid_output",
      message: expect.stringContaining(message),
      retryable: false,
    });
  expect(await run("export default () => JSON.parse('['.repeat(60) + ']'.repeat(60))")).toHaveLength(1);
});

test("the same object twice is no circle", async () => {
  expect(await run("const a = { x: [1] }; export default () => [a, { a }, a.x]")).toEqual([{ x: [1] }, { a: { x: [1] } }, [1]]);
});

test("a result may have as many bytes as outputBytes says, and no more", async () => {
  const source = "export default (n) => 'ü'.repeat(n)";
  expect(await run(source, { with: { input: 49, outputBytes: 100 } })).toHaveLength(49);
  for (const input of [50, 200])
    expect(await failure(source, { with: { input, outputBytes: 100 } })).toMatchObject({
      code: "output_too_large",
      message: expect.stringContaining("more than 100 bytes"),
    });
});

test("a promise that never settles fails at once", async () => {
  for (const source of [
    "export default () => new Promise(() => {})",
    "export default () => ({ then() {} })",
    "await new Promise(() => {}); export default () => 1",
  ])
    expect(await failure(source)).toMatchObject({
      code: "code_never_settles",
      message: expect.stringContaining("never settles"),
    });
});

test("an error in a microtask that nobody waits for fails the run", async () => {
  expect(await failure("export default () => { queueMicrotask(() => { throw new Error('late'); }); return 1; }")).toMatchObject({
    code: "code_error",
    message: "Error: late",
  });
});

test("values of with that only evaluation could show to be wrong are refused", async () => {
  const source = "export default () => 1";
  for (const [given, message] of [
    [{ memoryMiB: 7 }, "memoryMiB must be a whole number from 8 to 256"],
    [{ outputBytes: 1.5 }, "outputBytes must be a whole number"],
    [{ now: "yesterday" }, "now must be a time"],
    [{ now: -1 }, "now must be a time"],
    [{ now: 1e15 }, "now must be a time"],
  ] as const)
    expect(await failure(source, { with: given })).toMatchObject({
      code: "invalid_with",
      message: expect.stringContaining(message),
    });
});

test("memory may be set: the same code fails with little and succeeds with more", async () => {
  const source =
    "export default () => { const kept = []; for (let i = 0; i < 30; i++) kept.push('x'.repeat(1e6) + i); return kept.length; }";
  expect(await failure(source, { with: { memoryMiB: 8 } })).toMatchObject({
    code: "code_memory",
    message: expect.stringContaining("more than 8 MiB"),
    retryable: false,
  });
  expect(await run(source, { with: { memoryMiB: 64 } })).toBe(30);
});

/** A pool that only takes note of what it is asked. */
function notingPool(answer: () => Promise<string>): { readonly runs: readonly SandboxRun[]; readonly pool: SandboxPool } {
  const runs: SandboxRun[] = [];
  const noting: SandboxPool = {
    run(asked) {
      runs.push(asked);
      return answer();
    },
    close: () => Promise.resolve(),
  };
  return { runs, pool: noting };
}

test("code may run as long as its node's timeout says, 5 s without one, and never more than a minute", async () => {
  const { runs, pool: noting } = notingPool(async () => "1");
  for (const timeoutMs of [2000, Number.POSITIVE_INFINITY, 3_600_000]) await run("export default 1", { pool: noting, timeoutMs });
  expect(runs.map(({ limitMs }) => limitMs)).toEqual([2000, defaultLimitMs, maxLimitMs]);
  expect([defaultLimitMs, maxLimitMs]).toEqual([5000, 60_000]);
});

test.each<[PoolFault, string, boolean]>([
  [{ kind: "timeout" }, "node_timeout", true],
  [{ kind: "busy" }, "code_busy", true],
  [{ kind: "lost", message: "the code's thread ended" }, "code_lost", true],
  [{ kind: "crashed", message: "unreachable" }, "code_crashed", false],
])("where the pool answers %j the node fails with %s, retryable: %s", async (fault, code, retryable) => {
  const { pool: refusing } = notingPool(() => Promise.reject(new SandboxFailure(fault)));
  expect(await failure("export default 1", { pool: refusing })).toMatchObject({ code, retryable });
});

test("an abort comes out with its own reason", async () => {
  const reason = new Error("cancelled");
  await expect(run("export default () => { for (;;); }", { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
});
