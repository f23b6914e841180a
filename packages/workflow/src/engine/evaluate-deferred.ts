import type { CompiledNode } from "../definition/compiled-workflow.ts";
import type { Evaluator } from "../expression/evaluate.ts";
import type { Scope } from "../expression/scope.ts";
import type { NodeContext } from "../kinds/kind.ts";

/** What a kind gets to evaluate the deferred parts of its `with`; the scope is that of the node. */
export function evaluateDeferred({ deferred }: CompiledNode, evaluator: Evaluator, scope: () => Scope): NodeContext["evaluate"] {
  return (pointer, names) => {
    const template = deferred.get(pointer);
    return template && evaluator.evaluate(template, { ...scope(), ...names });
  };
}
