import type { Json } from "@longhaul/core";
import { afterAll, afterEach, expect, test } from "vitest";
import { type NodeContext, NodeFailure, Suspension } from "../kind.ts";
import { codeKindOn } from "./run.ts";
import { sandboxPool } from "./sandbox-pool.ts";

// One thread, so that each case has the same thread, or its successor, run innocent code after it.
const pool = sandboxPool({ size: 1, queue: 10, graceMs: 100 });
const kind = codeKindOn(() => pool);
afterAll(() => pool.close());

/** Time for what must end by itself, whatever else the machine does; loops get less. */
const ampleMs = 20_000;
const loopMs = 300;

async function run(source: string, input: Json = null, timeoutMs = ampleMs): Promise<Json> {
  const context: Partial<NodeContext> = {
    input: { source, input, memoryMiB: 32 },
    signal: new AbortController().signal,
    operationKey: "key-1",
    timeoutMs,
    log: () => undefined,
  };
  // The kind uses nothing else of its context; a call of what is missing would fail the test.
  const output = await kind.run(context as NodeContext);
  if (output instanceof Suspension) throw new Error("code never waits");
  return output;
}

/** The output, or the code and message of the failure. */
async function outcome(body: string, input: Json = null, timeoutMs = ampleMs): Promise<Json> {
  return run(`export default function (input) { ${body} }`, input, timeoutMs).catch((error: unknown) => {
    if (error instanceof NodeFailure) return `${error.code}: ${error.message}`;
    throw error;
  });
}

const innocent =
  "export default (n) => [n + 1, typeof {}.polluted, JSON.stringify({ a: [1] }), [1, 2].map((x) => x * 2), `${new Map([[1, 2]]).get(1)}`]";

afterEach(async () => {
  expect(await run(innocent, 1)).toEqual([2, "undefined", '{"a":[1]}', [2, 4], "2"]);
  expect(Reflect.ownKeys(Object.prototype)).not.toContain("polluted");
  expect(Reflect.get({}, "polluted")).toBeUndefined();
});

const timedOut = /^node_timeout: the code ran longer than 300 ms$/;
const timeOrMemory = /^(node_timeout|code_memory): /;
const tooDeep = /^code_error: RangeError: /;
const outOfMemory = /^code_memory: the code needs more than 32 MiB/;

test.each<[string, string, RegExp]>([
  ["a loop", "for (;;);", timedOut],
  ["a loop that catches everything", "for (;;) try { for (;;); } catch {} finally { for (;;); }", timedOut],
  ["a loop in a generator", "function* g() { for (;;) yield 1; } return [...g()].length;", timeOrMemory],
  [
    "an iterator without end",
    "return Array.from({ [Symbol.iterator]: () => ({ next: () => ({ done: false }) }) });",
    timeOrMemory,
  ],
  ["endless microtasks", "(function again() { Promise.resolve().then(again); })(); return 1;", timedOut],
  ["endless awaits", "return (async () => { for (;;) await null; })();", timedOut],
  ["a thenable that calls itself", "const t = { then(done) { done(t); } }; return t;", timedOut],
  ["a built-in that cannot be interrupted", "const a = []; a.length = 2 ** 32 - 1; return a.join();", timedOut],
  ["a search through a huge sparse list", "const a = []; a.length = 2 ** 32 - 1; return a.indexOf(1);", /^(node_timeout|-1)/],
  ["a slow regular expression", "return /^(a+)+$/.test('a'.repeat(40) + '!');", timedOut],
  ["a slow regular expression with references", "return /^(.*)*\\1*b$/.test('a'.repeat(500));", timedOut],
  [
    "nested maps",
    "const t = Array(50).fill(0); const f = (n) => (n === 0 ? 1 : t.map(() => f(n - 1))); return f(9);",
    timeOrMemory,
  ],
  ["numbers without bounds", "let n = 3n; for (;;) n *= n;", /^(node_timeout|code_memory|code_error: RangeError)/],
  ["a getter without end", "return { get a() { for (;;); } };", timedOut],
  ["a toJSON without end", "return { toJSON() { for (;;); } };", timedOut],
  ["a proxy whose traps never end", "return new Proxy({}, { ownKeys() { for (;;); } });", timedOut],
  ["an error whose message never ends", "throw { __proto__: Error.prototype, get message() { for (;;); } };", timedOut],
  ["going on without memory", "const a = []; for (;;) try { for (;;) a.push('x'.repeat(1e6) + a.length); } catch {}", timedOut],
  [
    "a sort whose comparison never agrees",
    "return Array.from({ length: 1000 }, (_, i) => i).sort(() => { for (;;); });",
    timedOut,
  ],
])("%s is ended", async (_name, body, expected) => {
  expect(await outcome(body, null, loopMs)).toMatch(expected);
});

test.each<[string, string, RegExp]>([
  ["lists", "const a = []; for (;;) a.push(new Array(1000).fill(a.length));", outOfMemory],
  ["objects", "let o = {}; for (;;) o = { o, p: {} };", outOfMemory],
  ["texts", "const a = []; for (;;) a.push('x'.repeat(1e6) + a.length);", outOfMemory],
  [
    "a text that doubles",
    "let s = 'x'; for (;;) s += s + s.length;",
    /^(code_memory|code_error: InternalError: string too long)/,
  ],
  ["one huge text", "return 'x'.repeat(5e8);", outOfMemory],
  ["one huge buffer", "return new ArrayBuffer(2 ** 32).byteLength;", /^(code_memory|code_error: RangeError)/],
  ["one huge list", "return new Array(1e9).fill(0).length;", outOfMemory],
  ["maps and sets", "const m = new Map(); for (let i = 0; ; i++) m.set(i, new Set([i]));", outOfMemory],
  ["closures", "let f = () => 0; for (;;) { const g = f; f = () => g; }", outOfMemory],
  ["symbols and keys", "const o = {}; for (let i = 0; ; i++) o['key' + i] = Symbol(i);", outOfMemory],
  ["what the global object keeps", "globalThis.kept = []; for (;;) kept.push({});", outOfMemory],
  ["a chain that the global object keeps", "for (;;) globalThis.kept = { kept: globalThis.kept };", outOfMemory],
  ["small texts that the global object keeps", "globalThis.kept = []; for (let i = 0; ; i++) kept.push(`${i}`);", outOfMemory],
  [
    "a list that fills what is left",
    "globalThis.kept = []; for (let n = 2 ** 24; n >= 1; ) try { kept.push(new Uint8Array(n)); } catch { n /= 2; } for (;;) kept.push({});",
    outOfMemory,
  ],
  [
    "nothing left when the function returns",
    "globalThis.kept = []; try { for (;;) kept.push({ a: [] }); } catch {} return { list: Array(1e5).fill(1) };",
    outOfMemory,
  ],
  ["promises", "const a = []; for (;;) a.push(new Promise(() => {}));", outOfMemory],
  ["pending microtasks", "for (;;) queueMicrotask(() => 1);", outOfMemory],
  ["an error as large as the memory", "throw new Error('x'.repeat(2e7));", /^(code_error: Error: x{100}|code_memory)/],
])("memory: %s", async (_name, body, expected) => {
  expect(await outcome(body)).toMatch(expected);
});

test.each<[string, string, RegExp]>([
  ["a function that calls itself", "const f = () => f() + 1; return f();", tooDeep],
  ["getters", "const o = { get a() { return this.a; } }; return o.a;", tooDeep],
  ["toString", "const o = { toString() { return `${this}`; } }; return `${o}`;", tooDeep],
  ["proxies of proxies", "let p = {}; for (let i = 0; i < 1e5; i++) p = new Proxy(p, {}); return p.x ?? null;", tooDeep],
  [
    "bound functions",
    "let f = () => 1; for (let i = 0; i < 1e5; i++) f = f.bind(null); return f();",
    /^(code_error: RangeError|code_memory)/,
  ],
  ["JSON.parse", "return JSON.parse('['.repeat(1e6));", tooDeep],
  ["JSON.stringify", "let a = []; for (let i = 0; i < 5e4; i++) a = [a]; return JSON.stringify(a).length;", tooDeep],
  ["a parser", "return new Function('return ' + '('.repeat(1e5));", tooDeep],
  [
    "a regular expression",
    "return new RegExp('(?:'.repeat(1e5) + ')'.repeat(1e5)).source.length;",
    /^code_error: (RangeError|SyntaxError|InternalError)/,
  ],
  [
    "a deep result",
    "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return a;",
    /^code_invalid_output: .*more than 60 levels/,
  ],
  ["a toJSON that nests", "const o = { toJSON: () => ({ o }) }; return o;", /^code_invalid_output: .*more than 60 levels/],
])("recursion: %s", async (_name, body, expected) => {
  expect(await outcome(body)).toMatch(expected);
});

test.each([
  "this.constructor.constructor('return process')()",
  "(() => {}).constructor('return process')()",
  "Object.getPrototypeOf(async () => {}).constructor('return process')()",
  "(function* () {}).constructor('return process')().next()",
  "console.log.constructor('return process')()",
  "console.log.call.call(console.log).constructor.constructor('return process')()",
  "new Function('return this')().process.exit()",
  "(0, eval)('process')",
  "new Error().constructor.constructor('return process')()",
  "Error.prepareStackTrace = (_, frames) => frames[0].getThis().process, new Error().stack.exit()",
  "import.meta.url.toString()",
  "Date.constructor('return process')()",
  "globalThis.constructor.constructor('return require')()('fs')",
])("escape is impossible: %s", async (expression) => {
  expect(await outcome(`return ${expression};`)).toMatch(/^code_error: (ReferenceError|TypeError|SyntaxError|Error)/);
});

test("an import error shows nothing of the host", async () => {
  const stack = await run(
    "export default async () => { try { await import('fs'); } catch (error) { return [String(error.stack), error.message]; } }",
  );
  expect(JSON.stringify(stack)).not.toMatch(/file:|\/packages\/|\.ts|\.js/);
});

test("prototype pollution stays in the sandbox, and as data it is data", async () => {
  const body =
    "Object.prototype.polluted = 1; input.__proto__.polluted = 1; Object.prototype.toJSON = undefined; return { ...input, a: 1 };";
  expect(await outcome(body, {})).toEqual({ a: 1 });
  const data = await outcome(
    "return JSON.parse(input);",
    '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}',
  );
  expect(Object.keys(data as object)).toEqual(["__proto__", "constructor"]);
  expect(Object.getPrototypeOf(data)).toBe(Object.prototype);
});

test("replaced built-ins do not change how a result or an error is read", async () => {
  const broken = `
    const protos = [Object.prototype, Array.prototype, Function.prototype, Promise.prototype, String.prototype];
    JSON.stringify = JSON.parse = Array.isArray = String = Number.isFinite = () => { throw 1; };
    for (const key of ["value", "up", "0", "1", "name", "message"])
      Object.defineProperty(Object.prototype, key, { __proto__: null, set() { throw 2; }, configurable: true });
    const { ownKeys } = Reflect;
    for (let i = 0; i < 5; i++) for (let keys = ownKeys(protos[i]), k = 0; k < keys.length; k++)
      if (keys[k] !== "__proto__") try { protos[i][keys[k]] = () => "hacked"; } catch {}`;
  expect(await outcome(`${broken} return { a: [1, "x"] };`)).toEqual({ a: [1, "x"] });
  expect(await outcome(`const E = Error; ${broken} throw new E("plain");`)).toMatch(/^code_error: .*/);
});

test("a result may lie about itself, but only as JSON", async () => {
  const proxy = `new Proxy({ a: 1 }, {
    ownKeys: () => ["a", "b"],
    getOwnPropertyDescriptor: () => ({ value: 1, enumerable: true, configurable: true }),
    get: (_, key) => (key === "toJSON" ? undefined : 7),
  })`;
  expect(await outcome(`return ${proxy};`)).toEqual({ a: 7, b: 7 });
  expect(await outcome("return { toJSON: () => ({ real: 1 }) };")).toEqual({ real: 1 });
  expect(await outcome("Object.prototype.toJSON = () => 'hacked'; return { a: 1 };")).toBe("hacked");
  expect(await outcome("return { toJSON: () => undefined };")).toMatch(/^code_invalid_output: the result has undefined/);
  expect(await outcome("return { toJSON() { return this; } };")).toMatch(/^code_invalid_output: .*a function at \/toJSON/);
  expect(await outcome("return { get a() { throw new RangeError('trap'); } };")).toMatch(/^code_error: RangeError: trap/);
  expect(JSON.stringify(await outcome("return { then: 1, length: -1 };"))).toBe('{"then":1,"length":-1}');
});

test("what is thrown may not be readable", async () => {
  expect(await outcome("throw new Proxy({}, { get() { throw 1; }, getPrototypeOf() { throw 2; } });")).toMatch(
    /^code_error: the code threw something/,
  );
  expect(await outcome("throw Object.create(null);")).toMatch(/^code_error: the code threw \{\}/);
  expect(await outcome("throw { __proto__: Error.prototype, get name() { throw 1; } };")).toMatch(
    /^code_error: the code threw something/,
  );
  expect(await outcome("throw Symbol('s');")).toMatch(/^code_error: the code threw Symbol\(s\)/);
  expect(await outcome("throw { __proto__: Error.prototype, name: {}, message: 1, stack: [] };")).toMatch(/^code_error: /);
});

test("console with hostile values", async () => {
  const body = `const loud = { toString() { throw 1; }, toJSON() { throw 2; } };
    console.log(loud, new Proxy(() => {}, { get() { throw 3; } }), Symbol("s"), { get a() { throw 4; } }, Object.create(null));
    console.log.apply(null, { length: 50000 }); console.log(...Array(5e4).fill("x".repeat(100)));
    console.log("x".repeat(1e7)); console = null; return "done";`;
  expect(await outcome(body)).toBe("done");
  expect(await outcome("for (;;) console.log('x'.repeat(1000));", null, loopMs)).toMatch(timedOut);
});

test("an input that does not fit into the memory fails clearly", async () => {
  expect(await outcome("return input.length;", "x".repeat(40_000_000))).toMatch(outOfMemory);
});
