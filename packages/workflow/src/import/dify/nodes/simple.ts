import type { Json } from "@longhaul/core";
import { type JsonObject, setOwn } from "../../../expression/cel-value.ts";
import { caseIds, casesOf } from "../conditions.ts";
import type { Cel } from "../jinja-expression.ts";
import { jinjaPieces } from "../jinja-template.ts";
import { UnsupportedJinja } from "../jinja-tokens.ts";
import { listAt, objectAt, objectsAt, own, selectorAt, textAt } from "../loose-fields.ts";
import { celString, textOf, wrapped } from "../template-text.ts";
import type { ImportedNode, NodeImport, NodeImporter } from "./node-import.ts";
import { placeholder } from "./placeholder.ts";

/** if-else: a transform that puts out which case holds. */
export const ifElse: NodeImporter = {
  keys: ["cases", "conditions", "logical_operator"],
  run({ data, references, findings }) {
    const cases = casesOf(data, references, findings);
    const chosen = cases.reduceRight((rest, { id, expression }) => `${expression} ? ${celString(id)} : ${rest}`, '"false"');
    findings.keep("cases");
    findings.change(
      "edges",
      "the nodes behind it have a when that asks for the case",
      `The cases are ${caseIds(data).join(", ")}; rename them together if you like.`,
    );
    return { kind: "transform", with: { selected_case_id: wrapped(chosen) } };
  },
};

/** template-transform: a transform whose output is the text. */
export const templateTransform: NodeImporter = {
  keys: ["template", "variables"],
  run(it) {
    const { data, findings } = it;
    try {
      const output = jinjaText(it, textAt(data, "template"), objectsAt(data, "variables"));
      findings.keep("template", "variables");
      return { kind: "transform", with: { output } };
    } catch (error) {
      if (!(error instanceof UnsupportedJinja)) throw error;
      return placeholder(
        it,
        `its Jinja2 template uses what expressions cannot say (${error.message})`,
        "Write the text in a code node.",
      );
    }
  },
};

/** A Jinja2 template as a text of the definition. Throws UnsupportedJinja. */
export function jinjaText({ references, findings }: NodeImport, template: string, listed: readonly JsonObject[]): string {
  const variables = new Map<string, Cel>();
  for (const one of listed) {
    const selector = selectorAt(one, "value_selector");
    const isText = references.isText(selector);
    variables.set(textAt(one, "variable"), {
      source: references.value(selector, isText ? '""' : "null"),
      kind: isText ? "text" : "any",
    });
  }
  const pieces = jinjaPieces(template, variables, (what, reason, mend) => findings.change(what, reason, mend));
  return textOf(pieces, true);
}

/** variable-aggregator: a transform that takes the first value that is there. */
export const variableAggregator: NodeImporter = {
  keys: ["variables", "output_type", "advanced_settings"],
  run({ data, references, findings }): ImportedNode {
    const advanced = objectAt(data, "advanced_settings");
    const groups = own(advanced, "group_enabled") === true ? objectsAt(advanced, "groups") : [];
    findings.keep("variables");
    if (groups.length === 0) return { kind: "transform", with: { output: firstOf(data) } };
    findings.keep("groups");
    const outputs: Record<string, Json> = {};
    for (const group of groups) setOwn(outputs, textAt(group, "group_name", "group"), { output: firstOf(group) });
    return { kind: "transform", with: outputs };

    function firstOf(holder: JsonObject): string {
      const selectors = listAt(holder, "variables").flatMap((one) =>
        Array.isArray(one) ? [(one as readonly Json[]).map(String)] : [],
      );
      return wrapped(references.firstOf(selectors));
    }
  },
};
