import type { Json } from "@longhaul/core";
import type { JsonObject } from "../../../expression/cel-value.ts";
import type { Findings } from "../import-report.ts";
import type { DifyNode } from "../read-dify.ts";
import type { Names, References } from "../references.ts";

/** What the importer of one node type gets. */
export interface NodeImport {
  readonly node: DifyNode;
  /** Its id in the definition. */
  readonly id: string;
  readonly data: JsonObject;
  readonly references: References;
  readonly findings: Findings;
  readonly names: Names;
}

/** What a node becomes, beside its id, its needs and what all nodes share. */
export interface ImportedNode {
  readonly kind: string;
  readonly with: Json;
  /** Time of one try, such as `30s`. */
  readonly timeout?: string;
  /** Properties beside `with`. */
  readonly beside?: JsonObject;
}

/** Imports nodes of one type. */
export interface NodeImporter {
  /** Keys of `data` that it looks at; any other that says something is reported as lost. */
  readonly keys: readonly string[];
  run(it: NodeImport): ImportedNode;
}
