import type { Json } from "@longhaul/core";
import { type Cel, CelFault, charge, type JsonObject, type Meter, setOwn } from "./cel-value.ts";
import { compileExpression } from "./compile-expression.ts";
import type { CompiledExpression, Frame } from "./compiled-expression.ts";
import { checkJson, defaultResultLimits, type ResultLimits, toJson } from "./json-result.ts";
import { pointerTo } from "./pointer.ts";
import type { Path, Scope } from "./scope.ts";
import { splitText } from "./split-text.ts";

/** An expression that could not be evaluated: why, in which expression, and where in the template. */
export class ExpressionError extends Error {
  override readonly name = "ExpressionError";
  /** JSON pointer of the expression within the definition. */
  readonly pointer: string;
  constructor(message: string, pointer: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.pointer = pointer;
  }
}

/** JSON with `${ }` expressions in its strings, compiled. */
export interface CompiledTemplate {
  readonly source: Json;
  /** Where it stands in its definition. */
  readonly pointer: string;
  /** True when there is no expression in it: its value is its source. */
  readonly constant: boolean;
  /** Every fixed way into the scope that its expressions use. */
  readonly paths: readonly Path[];
  /** The same with the place of the expression that uses it. */
  readonly references: readonly Reference[];
  /** Evaluates it within the meter; throws ExpressionError, or MeterSpent. */
  run(scope: Scope, meter: Meter, limits?: ResultLimits): Json;
}

/** A use of the scope: what, and the JSON pointer of the expression. */
export interface Reference {
  readonly path: Path;
  readonly pointer: string;
}

/** Something wrong with one expression of a template. */
export interface TemplateProblem {
  readonly pointer: string;
  readonly message: string;
  readonly mend: string;
}

type Part = (context: Context) => Json;

interface Context extends Frame {
  readonly limits: ResultLimits;
}

interface Build {
  readonly problems: TemplateProblem[];
  readonly expressions: CompiledExpression[];
  readonly references: Reference[];
  readonly budget: TextBudget;
  readonly locals: readonly string[];
}

/** Characters of expressions that may still be compiled; shared by the templates of one definition, because parsing takes its time. */
export interface TextBudget {
  left: number;
}

/** For one definition: parsing as much takes about a second at worst, and much less as a rule. */
export const maxExpressionText = 64 * 1024;

export type TemplateResult =
  | { readonly ok: true; readonly template: CompiledTemplate }
  | { readonly ok: false; readonly problems: readonly TemplateProblem[] };

const maxTemplateDepth = 64;

/** Compiles every expression in a JSON value, which may use `locals`; reports every problem, with pointers below `pointer`. */
export function compileTemplate(
  source: Json,
  pointer = "",
  budget: TextBudget = { left: maxExpressionText },
  locals: readonly string[] = [],
): TemplateResult {
  const build: Build = { problems: [], expressions: [], references: [], budget, locals };
  const part = compilePart(build, source, pointer, 0);
  if (build.problems.length > 0) return { ok: false, problems: build.problems };
  const { expressions } = build;
  const units = expressions.reduce((sum, { units }) => sum + units, 1);
  const slotCount = expressions.reduce((most, { slotCount }) => Math.max(most, slotCount), 0);
  const paths = expressions.flatMap((expression) => expression.paths);
  // The result of one expression measures itself; only what is built around it needs another look.
  const composed = typeof source === "object";
  return {
    ok: true,
    template: {
      source,
      pointer,
      constant: part === undefined,
      paths,
      references: build.references,
      run(scope, meter, limits = defaultResultLimits) {
        if (part === undefined) return source;
        charge(meter, units);
        const result = part({ scope, meter, limits, slots: new Array<Cel>(slotCount) });
        if (composed) checkComposed(result, limits, pointer);
        return result;
      },
    },
  };
}

function checkComposed(result: Json, limits: ResultLimits, pointer: string): void {
  try {
    checkJson(result, limits);
  } catch (error) {
    throw error instanceof CelFault ? new ExpressionError(error.message, pointer, error) : error;
  }
}

/** The code of a part, or undefined where it is constant. */
function compilePart(build: Build, source: Json, pointer: string, depth: number): Part | undefined {
  if (typeof source === "string") return compileText(build, source, pointer);
  if (typeof source !== "object" || source === null) return undefined;
  if (depth >= maxTemplateDepth) {
    build.problems.push({ pointer, message: `the value is nested deeper than ${maxTemplateDepth} levels`, mend: "Flatten it." });
    return undefined;
  }
  if (Array.isArray(source)) return compileArray(build, source, pointer, depth);
  return compileObject(build, source as JsonObject, pointer, depth);
}

function compileArray(build: Build, source: readonly Json[], pointer: string, depth: number): Part | undefined {
  const parts = source.map((item, index) => compilePart(build, item, pointerTo(pointer, index), depth + 1));
  if (parts.every((part) => part === undefined)) return undefined;
  return (context) => parts.map((part, index) => (part === undefined ? (source[index] ?? null) : part(context)));
}

function compileObject(build: Build, source: JsonObject, pointer: string, depth: number): Part | undefined {
  const entries = Object.entries(source).map(([key, value]) => ({
    key,
    value,
    part: compilePart(build, value, pointerTo(pointer, key), depth + 1),
  }));
  if (entries.every(({ part }) => part === undefined)) return undefined;
  return (context) => {
    const object: Record<string, Json> = {};
    for (const { key, value, part } of entries) setOwn(object, key, part === undefined ? value : part(context));
    return object;
  };
}

function compileText(build: Build, source: string, pointer: string): Part | undefined {
  if (!source.includes("${")) return undefined;
  const split = splitText(source);
  if (!split.ok) {
    build.problems.push({
      pointer,
      message: `the expression that starts at character ${split.at + 1} has no closing brace`,
      mend: "Close it with }, or write $${ where you mean the characters themselves.",
    });
    return undefined;
  }
  const { pieces } = split;
  const [only] = pieces;
  if (only !== undefined && pieces.length === 1 && "expression" in only) return compileValue(build, only.expression, pointer);
  const parts = pieces.map((piece) => {
    if ("text" in piece) return () => piece.text;
    const part = compileValue(build, piece.expression, pointer);
    return (context: Context) => bareText(part?.(context) ?? null);
  });
  return (context) => joinText(parts, context, pointer);
}

function bareText(value: Json): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function joinText(parts: readonly ((context: Context) => string)[], context: Context, pointer: string): string {
  let text = "";
  for (const part of parts) {
    text += part(context);
    if (text.length > context.limits.size) throw new ExpressionError("the text is too long (more than 16 MiB)", pointer);
  }
  charge(context.meter, text.length >> 6);
  return text;
}

function compileValue(build: Build, source: string, pointer: string): Part | undefined {
  build.budget.left -= source.length;
  if (build.budget.left < 0) {
    build.problems.push({
      pointer,
      message: `there are more than ${maxExpressionText} characters of expressions`,
      mend: "Split the workflow.",
    });
    return undefined;
  }
  const result = compileExpression(source, build.locals);
  if (!result.ok) {
    for (const { message, mend } of result.problems)
      build.problems.push({ pointer, message: `in ${shown(source)}: ${message}`, mend });
    return undefined;
  }
  const { expression } = result;
  build.expressions.push(expression);
  for (const path of expression.paths) build.references.push({ path, pointer });
  return (context) => {
    try {
      return toJson(expression.run(context), context.limits);
    } catch (error) {
      if (error instanceof CelFault) throw new ExpressionError(`in ${shown(source)}: ${error.message}`, pointer, error);
      if (error instanceof RangeError)
        throw new ExpressionError(`in ${shown(source)}: the values are nested too deeply or too large`, pointer, error);
      throw error;
    }
  };
}

function shown(source: string): string {
  const text = source.trim();
  return `\${ ${text.length > 120 ? `${text.slice(0, 117)}...` : text} }`;
}
