import type { DefinitionFault } from "@longhaul/core";

/** More faults than this are not reported at once. */
export const maxFaults = 100;

/** Collects what is wrong with a definition. */
export interface Faults {
  add(pointer: string, message: string, mend: string, node?: string): void;
  readonly list: readonly DefinitionFault[];
}

export function faultList(): Faults {
  const list: DefinitionFault[] = [];
  return {
    list,
    add(pointer, message, mend, node = "") {
      const same = list.some((fault) => fault.pointer === pointer && fault.message === message);
      if (list.length < maxFaults && !same) list.push({ pointer, message, node, mend });
    },
  };
}
