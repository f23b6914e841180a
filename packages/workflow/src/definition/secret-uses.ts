import type { CompiledTemplate } from "../expression/template.ts";
import type { CompiledGraph } from "./compiled-workflow.ts";

/** A secret that an expression of a definition mentions. */
export interface SecretUse {
  readonly name: string;
  /** JSON pointer of the expression. */
  readonly pointer: string;
}

/** Such names can be stored; see SecretService. */
export const secretName = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;

/** Secrets of one definition: everything that its tasks record is searched for their values. */
export const maxSecrets = 100;

/** Every secret that a graph mentions, those inside of `foreach` nodes included. */
export function secretUses({ nodes, output }: CompiledGraph): readonly SecretUse[] {
  return [
    ...nodes.flatMap(({ input, when, onError, cache, deferred, inner }) => [
      ...[input, when, onError?.output, cache?.key, ...deferred.values()].flatMap(usesOf),
      ...(inner === undefined ? [] : secretUses(inner)),
    ]),
    ...usesOf(output),
  ];
}

function usesOf(template: CompiledTemplate | undefined): readonly SecretUse[] {
  if (template === undefined) return [];
  return template.references.flatMap(({ path: [root, name], pointer }) =>
    root === "secrets" && name !== undefined ? [{ name, pointer }] : [],
  );
}
