import type { Cel, CelFault, Meter } from "./cel-value.ts";
import type { Path, Scope } from "./scope.ts";

/** What one evaluation works on. */
export interface Frame {
  readonly scope: Scope;
  readonly meter: Meter;
  /** Loop variables, by the place given to them at compile time; an accumulator may hold the fault of an item. */
  readonly slots: (Cel | CelFault)[];
}

/** What is wrong with an expression's text, and what to do about it. */
export interface ExpressionProblem {
  readonly message: string;
  readonly mend: string;
}

export interface CompiledExpression {
  readonly source: string;
  /** Every fixed way into the scope that it uses. */
  readonly paths: readonly Path[];
  /** Units that one run costs before any loop. */
  readonly units: number;
  readonly slotCount: number;
  readonly run: (frame: Frame) => Cel;
}

export type ExpressionResult =
  | { readonly ok: true; readonly expression: CompiledExpression }
  | { readonly ok: false; readonly problems: readonly ExpressionProblem[] };
