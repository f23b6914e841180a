import type { Json } from "@longhaul/core";
import { setOwn } from "../../../expression/cel-value.ts";
import { isBlank, objectAt, objectsAt, own, selectorAt, textAt } from "../loose-fields.ts";
import { wrapped } from "../template-text.ts";
import type { NodeImporter } from "./node-import.ts";
import { placeholder } from "./placeholder.ts";

/** Names that Dify's sandbox for JavaScript has and Longhaul's has not. */
const outside = /\b(require|fetch|process|Buffer|XMLHttpRequest|setTimeout|setInterval)\s*[.(]|\bimport\s*[("'{*]/g;

/** code: the same function as the default export of a module. */
export const code: NodeImporter = {
  keys: ["code", "code_language", "variables", "outputs", "dependencies"],
  run(it) {
    const { data, references, findings } = it;
    const language = textAt(data, "code_language", "python3");
    const source = textAt(data, "code");
    if (language !== "javascript") {
      return placeholder(
        it,
        `its code is ${language === "python3" ? "Python" : JSON.stringify(language.slice(0, 40))}, and code nodes run JavaScript`,
        "Rewrite it in JavaScript, or serve it by a worker node in its own language.",
      );
    }
    if (!/\bmain\b/.test(source))
      return placeholder(it, "its code has no function main", "Write the code with a default export.");
    const input: Record<string, Json> = {};
    for (const variable of objectsAt(data, "variables"))
      setOwn(input, textAt(variable, "variable"), wrapped(references.value(selectorAt(variable, "value_selector"))));
    const used = [...new Set([...source.matchAll(outside)].map(([found]) => found.replace(/\s*[.("'{*]$/, "")))];
    if (used.length > 0)
      findings.lose(
        `use of ${used.join(", ")}`,
        "code nodes have no access to the outside",
        "Do that part in an http or worker node.",
      );
    if (!isBlank(own(data, "dependencies")))
      findings.lose("dependencies", "code nodes load no packages", "Write out what is needed.");
    const usesClock = /\bDate\b/.test(source);
    if (usesClock)
      findings.change(
        "the clock",
        "it stands at the time of the submit, so that a repeat gives the same",
        "Give now another time, if it must.",
      );
    findings.keep("code", "variables");
    if (Object.keys(objectAt(data, "outputs")).length > 0)
      findings.change(
        "outputs",
        "what main returns is the output; its types are not checked",
        "Check them in the code if they matter.",
      );
    return {
      kind: "code",
      with: {
        source: `${source.trimEnd()}\n\nexport default (input) => main(input);\n`,
        input,
        ...(usesClock && { now: wrapped("task.createTime") }),
      },
    };
  },
};
