import type { Json } from "@longhaul/core";
import { type Meter, MeterSpent } from "./cel-value.ts";
import { pruneScope, type Scope } from "./scope.ts";
import { type CompiledTemplate, ExpressionError } from "./template.ts";
import { type WorkerPool, WorkerRefusal, workerPool } from "./worker-pool.ts";

/** Evaluates compiled templates: at once where that is quick, in another thread where it is not. */
export interface Evaluator {
  /**
   * The template's value. A result that can be had within the inline budget (about a millisecond) is answered directly, any other as a
   * promise. Throws, or rejects with, ExpressionError and nothing else.
   */
  evaluate(template: CompiledTemplate, scope: Scope, spent?: Meter): Json | Promise<Json>;
}

/** Units that the main thread gives to one template before it hands over. */
export const inlineUnits = 20_000;

export function evaluatorOf(pool: () => WorkerPool, units = inlineUnits): Evaluator {
  return {
    evaluate(template, scope, spent) {
      if (template.constant) return template.source;
      const meter: Meter = { left: units };
      try {
        return template.run(scope, meter);
      } catch (error) {
        if (!(error instanceof MeterSpent)) throw error;
        return evaluateElsewhere(pool(), template, scope);
      } finally {
        if (spent) spent.left -= units - Math.max(0, meter.left);
      }
    },
  };
}

// A template is the same object for as long as its workflow is cached, so its text is made once.
const texts = new WeakMap<CompiledTemplate, string>();

function textOf(template: CompiledTemplate): string {
  const text = texts.get(template) ?? JSON.stringify(template.source);
  texts.set(template, text);
  return text;
}

async function evaluateElsewhere(pool: WorkerPool, template: CompiledTemplate, scope: Scope): Promise<Json> {
  try {
    return JSON.parse(await pool.evaluate(textOf(template), JSON.stringify(pruneScope(scope, template.paths))));
  } catch (error) {
    if (error instanceof WorkerRefusal) throw new ExpressionError(error.message, template.pointer + error.pointer, error);
    throw error;
  }
}

let shared: WorkerPool | undefined;

/** The process's own evaluator; its threads start when first needed and do not keep the process alive. */
export const evaluator: Evaluator = evaluatorOf(() => {
  shared ??= workerPool();
  return shared;
});

/** Ends the threads of the process's own evaluator; they start again when needed. */
export async function closeEvaluator(): Promise<void> {
  const pool = shared;
  shared = undefined;
  await pool?.close();
}
