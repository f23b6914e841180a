import type { Json } from "@longhaul/core";
import { afterAll, expect, test } from "vitest";
import { evaluatorOf } from "./evaluate.ts";
import { pruneScope, type Scope } from "./scope.ts";
import { compileTemplate, ExpressionError } from "./template.ts";
import { defaultWorkerPoolOptions, type WorkerPool, workerPool } from "./worker-pool.ts";

const pool = workerPool(defaultWorkerPoolOptions);
afterAll(() => pool.close());

function scopeOf(input: Json, more: Partial<Scope> = {}): Scope {
  return { input, nodes: {}, errors: {}, task: { id: "t1", createTime: "2026-01-31T12:00:00.000Z" }, secrets: {}, ...more };
}

function compiled(source: Json) {
  const result = compileTemplate(source);
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.template;
}

/** Evaluates on this thread only: a spent budget is a failure. */
function inline(source: Json, input: Json = {}, more: Partial<Scope> = {}): Json {
  const never = (): WorkerPool => {
    throw new Error("went to another thread");
  };
  const value = evaluatorOf(never).evaluate(compiled(source), scopeOf(input, more));
  if (value instanceof Promise) throw new Error("answered a promise");
  return value;
}

async function anywhere(source: Json, input: Json = {}): Promise<Json> {
  return await evaluatorOf(() => pool).evaluate(compiled(source), scopeOf(input));
}

async function failureOf(source: Json, input: Json = {}): Promise<string> {
  try {
    return `no failure: ${JSON.stringify(await anywhere(source, input)).slice(0, 200)}`;
  } catch (error) {
    if (error instanceof ExpressionError) return error.message;
    throw error;
  }
}

test.each<[string, Json, Json]>([
  ["${ input.n + 1 }", { n: 41 }, 42],
  ["${ size(input.list) + input.n }", { list: [1, 2], n: 1 }, 3],
  ["${ input.n / 2 }", { n: 7 }, 3.5],
  ["${ 7 / 2 }", {}, 3],
  ["${ input.n % 2 == 1 }", { n: 7 }, true],
  ["${ input.status == 200 && input.status >= 200 }", { status: 200 }, true],
  ["${ input.list[input.n] }", { list: ["a", "b"], n: 1 }, "b"],
  ["${ input.text.substring(input.n) }", { text: "hello", n: 2 }, "llo"],
  ["${ input.c ? {'a': 1, 'b': [1, 2.5]} : null }", { c: true }, { a: 1, b: [1, 2.5] }],
  ["${ input.c ? {'a': 1} : null }", { c: false }, null],
  ["${ has(input.a) && has(input.a.b) ? input.a.b : 'none' }", { a: {} }, "none"],
  ["${ has(input.a) }", { a: null }, true],
  ["${ has(nodes.x) }", {}, false],
  ["${ input['a key'] }", { "a key": 1 }, 1],
  ["${ input.a.split(',').map(x, x.trim()).join('-') }", { a: "x, y ,z" }, "x-y-z"],
  ["${ input.map(k, k + '=' + string(input[k])) }", { a: 1, b: true }, ["a=1", "b=true"]],
  ["${ 'b' in input && !('c' in input) }", { b: 1 }, true],
  ["${ [1, 2, 3].filter(x, x > 1).map(x, x * x) }", {}, [4, 9]],
  ["${ timestamp(task.createTime) + duration('1h30m') }", {}, "2026-01-31T13:30:00Z"],
  ["${ type(input.n) == double && type(1) == int }", { n: 1 }, true],
  ["${ 'a.b'.matches('^[a-z]\\\\.[a-z]$') }", {}, true],
  ["${ '%d of %s: %.2f'.format([input.n, 'x', 1.005]) }", { n: 3 }, "3 of x: 1.00"],
  ["${ input.t ? 1 : input.missing.deep }", { t: true }, 1],
  ["${ false && input.missing || true }", {}, true],
  ["${ {'}': '{\"}'}['}'] }", {}, '{"}'],
  ["${ \"it's } fine\" + 'so \\'}\\' is this' + r'\\' }", {}, "it's } fineso '}' is this\\"],
  [
    "Hello ${ input.name }, ${ input.n } of ${ input.list } ${ input.o } ${ null }!",
    { name: "Ann", n: 2, list: [1, "x"], o: { a: 1 } },
    'Hello Ann, 2 of [1,"x"] {"a":1} null!',
  ],
  ["costs $${ not an expression } and $5", {}, "costs ${ not an expression } and $5"],
  ["$${ a }${ 1 }", {}, "${ a }1"],
  ["plain } text {", {}, "plain } text {"],
])("%s over %j is %j", (source, input, expected) => {
  expect(inline(source, input)).toEqual(expected);
});

test("a template keeps its form, its keys and what has no expressions", () => {
  const source = { a: ["${ input.n }", 2, { "${ key }": "${ input.n }x" }], b: null };
  expect(inline(source, { n: 1 })).toEqual({ a: [1, 2, { "${ key }": "1x" }], b: null });
  const constant = { a: [1, "x"] };
  expect(inline(constant)).toBe(constant);
});

test("results are JSON numbers, and ints that are not exact as such are refused", async () => {
  const value = inline("${ [1, size('abc'), 2u, int('7')] }");
  expect(JSON.stringify(value)).toBe("[1,3,2,7]");
  expect(await failureOf("${ 9007199254740993 }")).toMatch(/too large for an exact JSON number/);
  expect(inline("${ string(9007199254740993) }")).toBe("9007199254740993");
  expect(await failureOf("${ 1.0 / 0.0 }")).toMatch(/Infinity, which JSON cannot say/);
  expect(await failureOf("${ 9223372036854775807 + 1 }")).toMatch(/int overflow/);
  expect(await failureOf("${ 1 / 0 }")).toMatch(/divide by zero/);
});

test("a failure names the expression and what was missing", async () => {
  expect(await failureOf({ a: "${ input.user.name }" }, { user: {} })).toBe('in ${ input.user.name }: no such key: "name"');
  expect(await failureOf("${ input.user.name }", { user: 5 })).toBe(
    'in ${ input.user.name }: cannot read "name" of a value of type double',
  );
  expect(await failureOf("${ input.list[3] }", { list: [1] })).toMatch(/index 3 is outside a list of 1/);
  expect(await failureOf("${ input.a + input.b }", { a: 1, b: "x" })).toMatch(/\+ does not work on double and string/);
});

// Everything below tries to get out, to get at prototypes, or to use up the process.

test.each(["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "valueOf", "__defineGetter__"])(
  "%s of JSON is an absent key, or data where it is there",
  async (key) => {
    expect(await failureOf(`\${ input.${key} }`)).toMatch(/no such key/);
    expect(await failureOf(`\${ input["${key}"] }`)).toMatch(/no such key/);
    expect(await failureOf(`\${ nodes.${key} }`)).toMatch(/no such key/);
    expect(inline(`\${ has(input.${key}) }`)).toBe(false);
    expect(inline(`\${ "${key}" in input }`)).toBe(false);
    const data: Json = JSON.parse(`{"${key}":{"x":1}}`);
    expect(inline(`\${ input.${key}.x }`, data)).toBe(1);
    expect(JSON.stringify(inline(`\${ {"${key}": 1} }`))).toBe(`{"${key}":1}`);
    expect(JSON.stringify(inline({ [`${key}x`]: 1, list: [`\${ input }`] }, data))).toContain(`{"${key}":{"x":1}}`);
    expect(JSON.stringify(await anywhere("${ [input].map(x, x).filter(x, [1,2,3].all(y, y > 0)) }", data))).toBe(
      `[{"${key}":{"x":1}}]`,
    );
    expect(({} as Record<string, unknown>)["x"]).toBeUndefined();
  },
);

test.each([
  "${ input.constructor.constructor('return process')() }",
  "${ process.exit(1) }",
  "${ globalThis }",
  "${ this }",
  "${ require('fs') }",
  "${ (function(){})() }",
  "${ input => 1 }",
  "${ `x` }",
  "${ import('fs') }",
])("%s does not even compile", (source) => {
  expect(compileTemplate(source).ok).toBe(false);
});

test.each([
  "(".repeat(4000),
  `${"[".repeat(2000)}1${"]".repeat(2000)}`,
  `1${"+1".repeat(2000)}`,
  `${"true?".repeat(700)}1${":1".repeat(700)}`,
  `${"[1].map(x,".repeat(300)}1${")".repeat(300)}`,
  `${"{1:".repeat(1000)}1${"}".repeat(1000)}`,
  "x".repeat(5000),
])("a deep or long source is refused, quickly (%#)", (source) => {
  const start = performance.now();
  const result = compileTemplate(`\${ ${source} }`);
  expect(performance.now() - start).toBeLessThan(2000);
  expect(result.ok).toBe(false);
});

test("a template may hold only so much expression text", () => {
  const much = Array.from({ length: 100 }, () => `\${ "${"x".repeat(4000)}" }`);
  expect(compileTemplate(much)).toMatchObject({
    ok: false,
    problems: expect.arrayContaining([expect.objectContaining({ pointer: "/99" })]),
  });
});

test("loops over ten thousand items work, in another thread where they are long", async () => {
  const list = Array.from({ length: 10_000 }, (_, index) => index);
  expect(await anywhere("${ input.map(x, x + 1).filter(x, x > 5000).size() }", list)).toBe(5000);
  expect(await anywhere("${ input.all(x, x >= 0) && input.exists(x, x == 9999) }", list)).toBe(true);
  expect(((await anywhere("${ input.map(x, {'n': x}) }", list)) as readonly Json[]).length).toBe(10_000);
});

test("nested loops are ended, without holding up this thread", async () => {
  const list = Array.from({ length: 1000 }, (_, index) => index);
  let turns = 0;
  const timer = setInterval(() => turns++, 5);
  const why = await failureOf("${ input.map(a, input.map(b, input.map(c, a * b * c))) }", list);
  clearInterval(timer);
  expect(why).toMatch(/too many steps|longer than|memory/);
  expect(turns).toBeGreaterThan(5);
  // Afterwards the pool works as before.
  expect(await anywhere("${ input.map(x, x + 1).size() }", list)).toBe(1000);
});

test("slow patterns do not exist", async () => {
  expect(inline("${ input.matches('^(a+)+$') }", `${"a".repeat(200)}!`)).toBe(false);
  expect(await anywhere("${ input.matches('^(a+)+$') }", `${"a".repeat(100_000)}!`)).toBe(false);
  expect(await failureOf("${ input.matches('(a|b){500}(a|b){500}c') }", "ab".repeat(200_000))).toMatch(
    /too many steps|longer than/,
  );
  expect(await failureOf("${ input.matches('(?=a)b') }", "ab")).toMatch(/not a valid RE2/);
});

test("growing texts and lists are ended", async () => {
  const doubling = Array.from({ length: 40 }, () => "1").join(",");
  expect(
    await failureOf(
      `\${ [${doubling}].map(a, [${doubling}].map(b, [${doubling}].map(c, input + input + input))) }`,
      "x".repeat(100_000),
    ),
  ).toMatch(/too large|steps|memory|longer/);
  expect(await failureOf("${ input.replace('', input) }", "x".repeat(10_000))).toMatch(/longer than/);
  expect(await failureOf("${ input.split('').map(x, input).join(input) }", "x".repeat(5000))).toMatch(/longer than|steps|memory/);
  expect(
    await failureOf(
      Array.from({ length: 500 }, () => "${ input }"),
      "x".repeat(100_000),
    ),
  ).toMatch(/result is too large/);
  expect(await failureOf("${ input }${ input }${ input }", "x".repeat(7_000_000))).toMatch(/too long/);
});

test("results nested too deeply are refused", async () => {
  let deep: Json = 1;
  for (let level = 0; level < 100; level++) deep = [deep];
  expect(await failureOf("${ input }", deep)).toMatch(/nested too deeply/);
  expect(await failureOf({ a: "${ input }" }, deep)).toMatch(/nested too deeply/);
  for (let level = 0; level < 20_000; level++) deep = [deep];
  expect(await failureOf("${ input == input }", deep)).toMatch(/nested too deeply/);
});

test("a thread that runs into its deadline is replaced, and others in the queue get their turn", async () => {
  const short = workerPool({ size: 1, deadlineMs: 300, units: Number.MAX_SAFE_INTEGER, queue: 2 });
  const evaluator = evaluatorOf(() => short);
  const list = Array.from({ length: 1000 }, (_, index) => index);
  const endless = Promise.resolve(
    evaluator.evaluate(compiled("${ input.map(a, input.map(b, input.filter(c, c < 0))).size() }"), scopeOf(list)),
  );
  const quick = Promise.resolve(
    evaluator.evaluate(
      compiled("${ input.map(a, a + 1).map(a, a + 1).map(a, a + 1).map(a, a).size() }"),
      scopeOf([...list, ...list, ...list, ...list]),
    ),
  );
  const results = await Promise.allSettled([endless, quick]);
  expect(results[0]).toMatchObject({
    status: "rejected",
    reason: { name: "ExpressionError", message: "the expression took longer than 300 ms" },
  });
  expect(results[1]).toEqual({ status: "fulfilled", value: 4000 });
  await short.close();
});

test("only what an expression uses goes to another thread", () => {
  const scope = scopeOf({ a: { b: 1, c: 2 }, list: [1, 2], big: "x" }, { nodes: { n: { x: 1, y: 2 } } });
  const { paths } = compiled(["${ input.a.b + input.list[0] }", "${ has(nodes.n.x) }", "${ has(input.none.x) }"]);
  expect(pruneScope(scope, paths)).toEqual({
    input: { a: { b: 1 }, list: [1, 2] },
    nodes: { n: { x: 1 } },
    errors: {},
    task: {},
    secrets: {},
  });
  expect(pruneScope(scope, [["input", "a", "b"], ["input"]]).input).toEqual(scope.input);
  expect(pruneScope(scope, [["input"], ["input", "a", "b"]]).input).toEqual(scope.input);
});
