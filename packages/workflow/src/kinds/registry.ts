import { httpKind } from "./http/run.ts";
import type { NodeKind } from "./kind.ts";
import { transformKind } from "./transform/run.ts";

const registered: readonly NodeKind[] = [httpKind, transformKind];

/** Every kind of node by its name. */
export const kinds: ReadonlyMap<string, NodeKind> = new Map(registered.map((kind) => [kind.name, kind]));
