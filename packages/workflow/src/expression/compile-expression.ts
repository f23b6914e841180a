import { parse } from "@bufbuild/cel";
import { nearest } from "../definition/nearest.ts";
import { arithmetic, negate } from "./arithmetic.ts";
import { type Cel, CelFault, charge, isList, isMap, isObject, type MapKey, mapKey, TypeName, typeName } from "./cel-value.ts";
import { compare, equal, mapGet, mapKeys } from "./compare.ts";
import type { ExpressionProblem, ExpressionResult, Frame } from "./compiled-expression.ts";
import { type CelFunction, functions, methods, typeNames } from "./functions.ts";
import { arithmeticOperators, at, field, isIn, orderOperators, truth } from "./operations.ts";
import { type Path, type RootName, rootNames, type Scope } from "./scope.ts";
import { constantValue, type Expr, type ExprOf, localPlace, type Names, staticPath } from "./static-path.ts";

type Code = (frame: Frame) => Cel;
/** Longest text of one expression. */
export const maxExpressionLength = 4096;
const maxNesting = 250;

/**
 * Compiles the text of one CEL expression into closures over plain JSON values. Checks everything that can be known without data: syntax,
 * names, functions and their number of arguments. `locals` are names that stand in the scope's `locals`.
 */
export function compileExpression(source: string, locals: readonly string[] = []): ExpressionResult {
  if (source.trim() === "") return refuse("the expression is empty", "Write a CEL expression between ${ and }.");
  if (source.length > maxExpressionLength) {
    return refuse(`the expression is longer than ${maxExpressionLength} characters`, "Split it over several transform nodes.");
  }
  let expr: Expr | undefined;
  try {
    // The parser takes long over spaces at the end.
    expr = parse(source.trimEnd()).expr;
  } catch (error) {
    if (error instanceof RangeError)
      return refuse("the expression is nested too deeply", "Split it over several transform nodes.");
    return refuse(syntaxMessage(error), "Check the CEL syntax at that place.");
  }
  const build: Build = { problems: [], paths: [], units: 0, slotCount: 0, depth: 0 };
  const run = expr === undefined ? constant(null) : compile(build, localNames(locals), expr);
  if (build.problems.length > 0) return { ok: false, problems: build.problems };
  return { ok: true, expression: { source, paths: build.paths, units: build.units, slotCount: build.slotCount, run } };
}

function refuse(message: string, mend: string): ExpressionResult {
  return { ok: false, problems: [{ message, mend }] };
}

function syntaxMessage(error: unknown): string {
  const message = error instanceof Error ? error.message : "";
  const place = /^<input>:\d+:(\d+): (.*)$/s.exec(message);
  return place ? `syntax error at character ${place[1]}: ${place[2]?.slice(0, 200)}` : `syntax error: ${message.slice(0, 200)}`;
}

interface Build {
  readonly problems: ExpressionProblem[];
  readonly paths: Path[];
  units: number;
  slotCount: number;
  depth: number;
}

const emptyNames: Names = new Map();

function localNames(locals: readonly string[]): Names {
  return locals.length === 0 ? emptyNames : new Map(locals.map((name) => [name, localPlace]));
}
const accumulator = "@result";

function constant(value: Cel): Code {
  return () => value;
}

function problem(build: Build, message: string, mend: string): Code {
  build.problems.push({ message, mend });
  return constant(null);
}

function compile(build: Build, names: Names, expr: Expr): Code {
  build.units++;
  if (++build.depth > maxNesting) {
    build.depth--;
    return problem(build, "the expression is nested too deeply", "Split it over several transform nodes.");
  }
  const code = compileKind(build, names, expr);
  build.depth--;
  return code;
}

function compileKind(build: Build, names: Names, expr: Expr): Code {
  const path = staticPath(names, expr);
  if (path !== undefined) return compilePath(build, path);
  const kind = expr.exprKind;
  switch (kind.case) {
    case "constExpr":
      return constant(constantValue(kind.value));
    case "identExpr":
      return compileIdentifier(build, names, kind.value.name);
    case "selectExpr":
      return compileSelect(build, names, kind.value);
    case "callExpr":
      return compileCall(build, names, kind.value);
    case "listExpr":
      return compileList(build, names, kind.value);
    case "structExpr":
      return compileStruct(build, names, kind.value);
    case "comprehensionExpr":
      return compileLoop(build, names, kind.value);
    case undefined:
      return problem(build, "the expression has an empty part", "Check the CEL syntax.");
  }
}

function compileIdentifier(build: Build, names: Names, name: string): Code {
  const slot = names.get(name);
  if (slot !== undefined) {
    if (name !== accumulator) return (frame) => readSlot(frame, slot);
    return (frame) => {
      const value = readSlotOrFault(frame, slot);
      if (value instanceof CelFault) throw value;
      return value;
    };
  }
  if (typeNames.has(name)) return constant(new TypeName(name));
  const known = [...names.keys()].filter((each) => each !== accumulator).concat(rootNames);
  const near = nearest(name, known);
  return problem(
    build,
    `there is no name "${name}"`,
    near === undefined ? `The names are ${rootNames.join(", ")}; text stands in quotes.` : `Did you mean "${near}"?`,
  );
}

function readSlotOrFault(frame: Frame, slot: number): Cel | CelFault {
  const value = frame.slots[slot];
  return value === undefined ? null : value;
}

function readSlot(frame: Frame, slot: number): Cel {
  const value = readSlotOrFault(frame, slot);
  if (value instanceof CelFault) throw value;
  return value;
}

function compilePath(build: Build, path: Path): Code {
  build.paths.push(path);
  build.units += path.length - 1;
  const [root, ...keys] = path;
  if (keys.length === 0) return (frame) => rootValue(frame.scope, root);
  const [first, second] = keys;
  if (first !== undefined && second === undefined) return (frame) => field(rootValue(frame.scope, root), first);
  return (frame) => {
    let value = rootValue(frame.scope, root);
    for (const key of keys) value = field(value, key);
    return value;
  };
}

function rootValue(scope: Scope, root: RootName): Cel {
  const value = scope[root];
  if (value === undefined) throw new CelFault(`${root} does not exist here`);
  return value;
}

function compileSelect(build: Build, names: Names, { operand, field: key, testOnly }: ExprOf<"selectExpr">): Code {
  if (operand === undefined) return problem(build, "the expression has an empty part", "Check the CEL syntax.");
  if (testOnly) {
    const path = staticPath(names, operand);
    const value = compile(build, names, operand);
    // What is asked for must be handed to the worker thread too; the operand alone would take everything along.
    if (path) replaceLast(build.paths, [...path, key]);
    return (frame) => {
      const map = value(frame);
      if (!isObject(map) && !isMap(map)) throw new CelFault(`has() cannot look for "${key}" in a value of type ${typeName(map)}`);
      return mapGet(map, key) !== undefined;
    };
  }
  const value = compile(build, names, operand);
  return (frame) => field(value(frame), key);
}

function replaceLast(paths: Path[], path: Path): void {
  paths[paths.length - 1] = path;
}

function compileCall(build: Build, names: Names, call: ExprOf<"callExpr">): Code {
  const special = compileOperator(build, names, call);
  if (special !== undefined) return special;
  const { target, args } = call;
  if (target !== undefined) {
    const namespace = target.exprKind.case === "identExpr" ? `${target.exprKind.value.name}.${call.function}` : undefined;
    const qualified = namespace === undefined ? undefined : functions.get(namespace);
    if (qualified !== undefined && namespace !== undefined) return compileFunction(build, names, namespace, qualified, args, 0);
    const method = methods.get(call.function);
    if (method !== undefined) return compileFunction(build, names, call.function, method, [target, ...args], 1);
    return unknownFunction(build, call.function, [...methods.keys(), "map", "filter", "all", "exists", "exists_one"]);
  }
  const found = functions.get(call.function);
  if (found !== undefined) return compileFunction(build, names, call.function, found, args, 0);
  return unknownFunction(build, call.function, [...functions.keys(), "has"]);
}

function unknownFunction(build: Build, name: string, known: readonly string[]): Code {
  if (macros.has(name))
    return problem(
      build,
      `${name} is not used as it must be`,
      "Write it as list.map(x, x.name), list.filter(x, x > 1), has(a.b).",
    );
  const near = nearest(name, known);
  return problem(
    build,
    `there is no function "${name}"`,
    near === undefined ? `The functions are ${known.join(", ")}.` : `Did you mean "${near}"?`,
  );
}

const macros: ReadonlySet<string> = new Set(["has", "map", "filter", "all", "exists", "exists_one"]);

function compileFunction(
  build: Build,
  names: Names,
  name: string,
  found: CelFunction,
  args: readonly Expr[],
  targets: number,
): Code {
  if (args.length < found.least || args.length > found.most) {
    const [least, most] = [found.least - targets, found.most - targets];
    const wanted = least === most ? `${least}` : `${least} to ${most}`;
    return problem(build, `${name}() takes ${wanted} arguments, not ${args.length - targets}`, "Give it that many.");
  }
  const codes = args.map((arg) => compile(build, names, arg));
  return (frame) =>
    found.call(
      frame.meter,
      codes.map((code) => code(frame)),
    );
}

function compileOperator(build: Build, names: Names, call: ExprOf<"callExpr">): Code | undefined {
  const name = call.function;
  if (call.target !== undefined || !/^[@_!-]/.test(name)) return undefined;
  const append = compileAppend(build, names, call);
  if (append) return append;
  const codes = call.args.map((arg) => compile(build, names, arg));
  const [a = constant(null), b = constant(null), c = constant(null)] = codes;
  const operator = arithmeticOperators.get(name);
  if (operator !== undefined) return (frame) => arithmetic(frame.meter, operator, a(frame), b(frame));
  const order = orderOperators.get(name);
  if (order !== undefined) {
    const symbol = name.slice(1, -1);
    return (frame) => order(compare(frame.meter, symbol, a(frame), b(frame)));
  }
  switch (name) {
    case "_==_":
      return (frame) => equal(frame.meter, a(frame), b(frame));
    case "_!=_":
      return (frame) => !equal(frame.meter, a(frame), b(frame));
    case "_?_:_":
      return (frame) => (truth("? :", a(frame)) ? b(frame) : c(frame));
    case "_&&_":
      return (frame) => decide(frame, "&&", codes, false);
    case "_||_":
      return (frame) => decide(frame, "||", codes, true);
    case "!_":
      return (frame) => !truth("!", a(frame));
    case "-_":
      return (frame) => negate(a(frame));
    case "_[_]":
      return (frame) => at(a(frame), b(frame));
    case "@in":
      return (frame) => isIn(frame.meter, a(frame), b(frame));
    case "@not_strictly_false":
      return (frame) => attempt(a, frame) !== false;
    default:
      return undefined;
  }
}

/** The step of `map` and `filter` adds one item to their result; doing that in place keeps a loop linear. */
function compileAppend(build: Build, names: Names, call: ExprOf<"callExpr">): Code | undefined {
  const [list, added] = call.args;
  if (call.function !== "_+_" || list?.exprKind.case !== "identExpr" || list.exprKind.value.name !== accumulator)
    return undefined;
  const slot = names.get(accumulator);
  const item = added?.exprKind.case === "listExpr" ? added.exprKind.value.elements[0] : undefined;
  if (slot === undefined || item === undefined) return undefined;
  const code = compile(build, names, item);
  return (frame) => {
    const value = code(frame);
    const result = readSlot(frame, slot);
    // Only this loop's own array is ever in its accumulator, so nobody else sees it grow.
    if (isList(result)) (result as Cel[]).push(value);
    return result;
  };
}

/** Runs code and answers the expression's own fault as a value; a spent meter still ends everything. */
function attempt(code: Code, frame: Frame): Cel | CelFault {
  try {
    return code(frame);
  } catch (error) {
    // Each fault costs what making it costs.
    charge(frame.meter, 50);
    if (error instanceof CelFault) return error;
    throw error;
  }
}

/** `&&` and `||` in CEL: a side that decides wins over a fault on the other side. */
function decide(frame: Frame, operator: string, codes: readonly Code[], decisive: boolean): boolean {
  let fault: CelFault | undefined;
  for (const code of codes) {
    const value = attempt(code, frame);
    if (value === decisive) return decisive;
    if (value instanceof CelFault) fault ??= value;
    else if (typeof value !== "boolean") fault ??= new CelFault(`${operator} needs true or false, not ${typeName(value)}`);
  }
  if (fault) throw fault;
  return !decisive;
}

function compileList(build: Build, names: Names, { elements, optionalIndices }: ExprOf<"listExpr">): Code {
  if (optionalIndices.length > 0) return problem(build, "optional list items are not supported", "Leave out the question mark.");
  const codes = elements.map((element) => compile(build, names, element));
  return (frame) => codes.map((code) => code(frame));
}

function compileStruct(build: Build, names: Names, { messageName, entries }: ExprOf<"structExpr">): Code {
  if (messageName !== "") return problem(build, `there are no message types ("${messageName}")`, 'Write a map: {"key": value}.');
  const codes: (readonly [Code, Code])[] = [];
  for (const { keyKind, value, optionalEntry } of entries) {
    if (keyKind.case !== "mapKey" || value === undefined || optionalEntry) {
      return problem(build, "that form of map entry is not supported", 'Write {"key": value}.');
    }
    codes.push([compile(build, names, keyKind.value), compile(build, names, value)]);
  }
  return (frame) => {
    const map = new Map<MapKey, Cel>();
    for (const [keyCode, valueCode] of codes) {
      const value = keyCode(frame);
      const key = mapKey(value);
      if (key === undefined) throw new CelFault(`a value of type ${typeName(value)} cannot be a map's key`);
      if (map.has(key)) throw new CelFault(`the map has the key ${String(key).slice(0, 100)} twice`);
      map.set(key, valueCode(frame));
    }
    return map;
  };
}

function compileLoop(build: Build, names: Names, loop: ExprOf<"comprehensionExpr">): Code {
  const { accuInit, iterRange, loopCondition, loopStep, result } = loop;
  if (!accuInit || !iterRange || !loopCondition || !loopStep || !result || loop.iterVar2 !== "") {
    return problem(build, "that form of loop is not supported", "Use map, filter, all, exists or exists_one.");
  }
  const range = compile(build, names, iterRange);
  const start = compile(build, names, accuInit);
  const accuSlot = build.slotCount++;
  const itemSlot = build.slotCount++;
  const outside = new Map(names).set(loop.accuVar, accuSlot);
  const inside = new Map(outside).set(loop.iterVar, itemSlot);
  const before = build.units;
  const condition = compile(build, inside, loopCondition);
  const step = compile(build, inside, loopStep);
  const unitsPerItem = build.units - before + 1;
  const end = compile(build, outside, result);
  // `all` and `exists` go on after a fault, because a later item may decide; `map` and `filter` cannot.
  const goesOn = loopCondition.exprKind.case === "callExpr";
  return (frame) => {
    const { slots, meter } = frame;
    const items = range(frame);
    const list = isList(items) ? items : mapKeys(items);
    if (list === undefined) throw new CelFault(`a loop needs a list or a map, not ${typeName(items)}`);
    slots[accuSlot] = start(frame);
    for (const item of list) {
      charge(meter, unitsPerItem);
      slots[itemSlot] = item;
      if (condition(frame) !== true) break;
      slots[accuSlot] = goesOn ? attempt(step, frame) : step(frame);
    }
    return end(frame);
  };
}
