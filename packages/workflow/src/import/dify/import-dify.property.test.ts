import fc from "fast-check";
import { expect, test } from "vitest";
import { compileWorkflow } from "../../definition/compile-workflow.ts";
import type { JsonObject } from "../../expression/cel-value.ts";
import { importDify } from "./import-dify.ts";

function allPaths(holder: JsonObject, prefix: string): readonly string[] {
  return (holder["nodes"] as readonly JsonObject[]).flatMap((node) => {
    const path = `${prefix}${String(node["id"])}`;
    return Array.isArray(node["nodes"]) ? [path, ...allPaths(node, `${path}.`)] : [path];
  });
}

test("whatever the file holds, nothing is thrown and nothing is lost without a word", () => {
  const word = fc.constantFrom(
    "a",
    "b",
    "c",
    "item",
    "sys",
    "env",
    "output",
    "body",
    "{{#a.x#}}",
    "{% if a %}",
    "${ x }",
    "",
    "__proto__",
  );
  const loose = fc.jsonValue({ maxDepth: 3 });
  const type = fc.constantFrom(
    "start",
    "end",
    "llm",
    "code",
    "http-request",
    "if-else",
    "iteration",
    "template-transform",
    "variable-aggregator",
    "tool",
    "",
  );
  const data = fc.record(
    {
      type,
      title: word,
      url: word,
      headers: fc.oneof(word, loose),
      body: fc.oneof(loose, fc.record({ type: fc.constantFrom("json", "form-data", "raw-text"), data: fc.oneof(word, loose) })),
      cases: fc.oneof(
        loose,
        fc.array(
          fc.record({
            case_id: word,
            conditions: fc.array(fc.record({ variable_selector: fc.array(word), comparison_operator: word, value: loose })),
          }),
        ),
      ),
      template: word,
      variables: fc.oneof(loose, fc.array(fc.record({ variable: word, value_selector: fc.array(word) }))),
      outputs: fc.oneof(loose, fc.array(fc.record({ variable: word, value_selector: fc.array(word) }))),
      iterator_selector: fc.oneof(loose, fc.array(word)),
      output_selector: fc.oneof(loose, fc.array(word)),
      prompt_template: loose,
      model: loose,
      retry_config: loose,
      error_strategy: fc.constantFrom("fail-branch", "default-value", "none"),
      default_value: loose,
    },
    { requiredKeys: ["type"] },
  );
  const node = fc.record({ id: fc.constantFrom("a", "b", "c", "d"), parentId: fc.constantFrom("", "a", "b"), data });
  const edge = fc.record({ source: word, target: word, sourceHandle: fc.constantFrom("source", "true", "false", "fail-branch") });
  fc.assert(
    fc.property(fc.uniqueArray(node, { selector: ({ id }) => id }), fc.array(edge), (nodes, edges) => {
      const start = { id: "s", data: { type: "start", variables: [{ variable: "x", type: "text-input" }] } };
      const first = nodes.map(({ id }) => ({ source: "s", target: id, sourceHandle: "source" }));
      const app = {
        kind: "app",
        app: { mode: "workflow", name: "x" },
        workflow: { graph: { nodes: [start, ...nodes], edges: [...edges, ...first] } },
      };
      const found = importDify(JSON.stringify(app));
      if (!found.ok) throw new Error(JSON.stringify(found.faults));
      const paths = new Set(allPaths(found.definition, ""));
      expect(paths.size).toBe(allPaths(found.definition, "").length);
      for (const one of found.report.nodes) {
        const isSaid = one.carried.length + one.changed.length + one.lost.length > 0 || one.node !== "" || one.type === "end";
        expect(isSaid, JSON.stringify(one)).toBe(true);
      }
      // What a file says wrongly (no URL, no header name) may be wrong in the definition; what the import itself writes may not.
      const compiled = compileWorkflow(found.definition);
      const own = compiled.ok
        ? []
        : compiled.faults.filter(({ pointer }) => !/\/with\/(url|headers|source|json)|\/kind$/.test(pointer));
      expect(own).toEqual([]);
    }),
    { numRuns: 300 },
  );
});
