import { parentPort } from "node:worker_threads";
import { MeterSpent } from "./cel-value.ts";
import type { Scope } from "./scope.ts";
import { type CompiledTemplate, compileTemplate, ExpressionError } from "./template.ts";
import type { EvaluateReply, EvaluateRequest } from "./worker-messages.ts";

// The thread behind `workerPool`: evaluates what is too long for the main thread. It holds nothing and may be terminated at any time.

const cacheSize = 100;
const templates = new Map<string, CompiledTemplate>();

function templateOf(source: string, locals: readonly string[]): CompiledTemplate {
  const key = `${locals.join(",")} ${source}`;
  const known = templates.get(key);
  if (known) return known;
  const compiled = compileTemplate(JSON.parse(source), "", undefined, locals);
  if (!compiled.ok) throw new ExpressionError(compiled.problems[0]?.message ?? "the template does not compile", "");
  if (templates.size >= cacheSize) templates.clear();
  templates.set(key, compiled.template);
  return compiled.template;
}

function answer({ id, template, scope, units }: EvaluateRequest): EvaluateReply {
  try {
    const seen = JSON.parse(scope) as Scope;
    const value = templateOf(template, Object.keys(seen.locals ?? {})).run(seen, { left: units });
    return { id, ok: true, result: JSON.stringify(value) };
  } catch (error) {
    if (error instanceof ExpressionError) return { id, ok: false, message: error.message, pointer: error.pointer };
    const message =
      error instanceof MeterSpent ? "the expression takes too many steps" : "the expression is too large to evaluate";
    return { id, ok: false, message, pointer: "" };
  }
}

parentPort?.on("message", (request: EvaluateRequest) => parentPort?.postMessage(answer(request)));
parentPort?.postMessage({ ready: true } satisfies EvaluateReply);
