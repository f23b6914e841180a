import type { DefinitionFault, Json } from "@longhaul/core";
import type { JsonObject } from "../expression/cel-value.ts";
import type { Evaluator } from "../expression/evaluate.ts";
import { pointerTo } from "../expression/pointer.ts";
import type { Scope } from "../expression/scope.ts";
import { compileTemplate, ExpressionError, maxExpressionText } from "../expression/template.ts";
import type { Turn } from "./dry-turn.ts";

/** An expression, or a part of a value, that a dry run does not know, and why. */
export interface Unevaluated {
  /** JSON pointer into the definition. */
  readonly pointer: string;
  readonly why: string;
}

/** Thrown where an expression touches what is not known. No fault of the expression, so that nothing of CEL swallows it. */
export class UnknownValue extends Error {
  override readonly name = "UnknownValue";
}

/** What came of evaluating a part of a definition, text by text. */
export interface DryValue {
  /** The value; touching a part that is not known throws UnknownValue. Undefined where nothing of it is known. */
  readonly value: Json | undefined;
  /** The same with null in place of what is not known. */
  readonly shown: Json;
  readonly unknown: readonly Unevaluated[];
  readonly errors: readonly DefinitionFault[];
}

/** What evaluation needs, the same all over one dry run. */
export interface DryEvaluation {
  readonly evaluate: Evaluator;
  readonly turn: Turn;
  /** Characters of JSON that may still be made. */
  left: number;
}

/** Defines a key whose value is not known. */
export function defineUnknown(target: object, key: string | number, why: string): void {
  Object.defineProperty(target, key, {
    enumerable: true,
    configurable: true,
    get() {
      throw new UnknownValue(why);
    },
  });
}

interface Collected {
  readonly unknown: Unevaluated[];
  readonly errors: DefinitionFault[];
}

/** Evaluates every text of a source by itself, so that one that fails or is not known says nothing about the others. */
export async function dryValue(run: DryEvaluation, source: Json, pointer: string, node: string, scope: Scope): Promise<DryValue> {
  const found: Collected = { unknown: [], errors: [] };
  const { value, shown } = await part(source, pointer);
  return { value, shown, ...found };

  async function part(at: Json, where: string): Promise<Part> {
    if (typeof at === "string") return text(at, where);
    if (typeof at !== "object" || at === null) return { value: at, shown: at };
    return Array.isArray(at) ? list(at, where) : object(at as JsonObject, where);
  }

  async function list(items: readonly Json[], where: string): Promise<Part> {
    const value: Json[] = [];
    const shown: Json[] = [];
    for (const [index, item] of items.entries()) {
      const one = await part(item, pointerTo(where, index));
      shown.push(one.shown);
      if (one.value === undefined) defineUnknown(value, index, one.why);
      else value[index] = one.value;
    }
    return { value, shown };
  }

  async function object(fields: JsonObject, where: string): Promise<Part> {
    const value: Record<string, Json> = {};
    const shown: Record<string, Json> = {};
    for (const [key, item] of Object.entries(fields)) {
      const one = await part(item, pointerTo(where, key));
      define(shown, key, one.shown);
      if (one.value === undefined) defineUnknown(value, key, one.why);
      else define(value, key, one.value);
    }
    return { value, shown };
  }

  async function text(template: string, where: string): Promise<Part> {
    if (!template.includes("${")) return { value: template, shown: template };
    try {
      const value = await evaluated(run, template, where, scope);
      return { value, shown: value };
    } catch (thrown) {
      if (thrown instanceof UnknownValue) {
        found.unknown.push({ pointer: where, why: thrown.message });
        return { value: undefined, shown: null, why: thrown.message };
      }
      if (!(thrown instanceof ExpressionError)) throw thrown;
      found.errors.push({ pointer: thrown.pointer, node, message: thrown.message, mend: mendOf(thrown.message) });
      return { value: undefined, shown: null, why: "its expression fails" };
    }
  }
}

type Part =
  | { readonly value: Json; readonly shown: Json }
  | { readonly value: undefined; readonly shown: null; readonly why: string };

function define(target: Record<string, Json>, key: string, value: Json): void {
  Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
}

async function evaluated(run: DryEvaluation, text: string, pointer: string, scope: Scope): Promise<Json> {
  await run.turn.take();
  const compiled = compileTemplate(text, pointer, { left: maxExpressionText }, Object.keys(scope.locals ?? {}));
  // The definition was compiled as a whole before, so its parts compile.
  if (!compiled.ok) throw new ExpressionError(compiled.problems[0]?.message ?? "the expression does not compile", pointer);
  const value = await run.evaluate.evaluate(compiled.template, scope);
  run.left -= typeof value === "object" ? JSON.stringify(value).length : String(value).length;
  if (run.left < 0) throw new UnknownValue("the values of this dry run are too large");
  return value;
}

/** What usually helps against an error of an expression. */
function mendOf(message: string): string {
  if (message.includes("no such key")) return "Ask with has() first, or correct the name.";
  if (message.includes("cannot read")) return "Look at what the value is, and ask for its type first.";
  if (message.includes("outside a list")) return "Ask for the size first.";
  if (message.includes("ran longer") || message.includes("budget")) return "Make it simpler, or move it to a code node.";
  return "Correct the expression, or the sample that it works on.";
}
