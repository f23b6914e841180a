import type { parse } from "@bufbuild/cel";
import { type Cel, Uint } from "./cel-value.ts";
import { type Path, rootNames } from "./scope.ts";

/** A node of the parser's tree. */
export type Expr = NonNullable<ReturnType<typeof parse>["expr"]>;
/** What a node of one kind holds. */
export type ExprOf<Case extends NonNullable<Expr["exprKind"]["case"]>> = Extract<Expr["exprKind"], { case: Case }>["value"];

/** Names in sight: loop variables with their places, and the names of items, which are in the scope, with `localPlace`. */
export type Names = ReadonlyMap<string, number>;
export const localPlace = -1;

/** The value of a literal. */
export function constantValue(value: ExprOf<"constExpr">): Cel {
  const kind = value.constantKind;
  switch (kind.case) {
    case "uint64Value":
      return new Uint(kind.value);
    case "boolValue":
    case "bytesValue":
    case "doubleValue":
    case "int64Value":
    case "stringValue":
      return kind.value;
    default:
      return null;
  }
}

function isRootName(name: string): name is (typeof rootNames)[number] {
  return (rootNames as readonly string[]).includes(name);
}

/** `input.a["b"]` as a path, where it is nothing but names and constant keys. */
export function staticPath(names: Names, expr: Expr): Path | undefined {
  const kind = expr.exprKind;
  if (kind.case === "identExpr") {
    const name = kind.value.name.replace(/^\./, "");
    const place = names.get(name);
    if (place === localPlace) return ["locals", name];
    return place === undefined && isRootName(name) ? [name] : undefined;
  }
  if (kind.case === "selectExpr" && !kind.value.testOnly && kind.value.operand) {
    const path = staticPath(names, kind.value.operand);
    return path && [...path, kind.value.field];
  }
  if (kind.case === "callExpr" && kind.value.function === "_[_]") {
    const [operand, key] = kind.value.args;
    const value = key?.exprKind.case === "constExpr" ? constantValue(key.exprKind.value) : undefined;
    const path = operand && typeof value === "string" ? staticPath(names, operand) : undefined;
    return path && typeof value === "string" ? [...path, value] : undefined;
  }
  return undefined;
}
