/** What the engine is measured with, beside the two workflows that the floors know too. */
export type EngineWorkload = "foreach-1000" | "code" | "wait-10000";

export const engineWorkloads: readonly EngineWorkload[] = ["foreach-1000", "code", "wait-10000"];

/** How much of each there is in a full run. */
export const engineSizes = {
  /** Tasks of `foreach-1000`, one after the other, and the items of each. */
  lists: 10,
  items: 1_000,
  codeTasks: 1_000,
  waitTasks: 10_000,
} as const;

const codeSource = `
export default function ({ text }) {
  const words = text.split(" ");
  const longest = words.reduce((best, word) => (word.length > best.length ? word : best), "");
  if (longest === "") throw new Error("there are no words");
  return { text: words.join(" ") };
}`;

/** As `PUT /v1/workflows/{name}` takes it. */
export function engineDefinitionOf(name: EngineWorkload): object {
  switch (name) {
    case "foreach-1000": {
      const nodes = [{ id: "line", kind: "transform", with: "${ string(item.n) + ' ' + item.name }" }];
      const each = { id: "each", kind: "foreach", with: { items: "${ input.items }" }, nodes, output: "${ nodes.line }" };
      return { name, nodes: [each], output: "${ nodes.each.results }" };
    }
    case "code": {
      const node = { id: "n1", kind: "code", with: { input: "${ input }", source: codeSource } };
      return { name, nodes: [node], output: "${ nodes.n1 }" };
    }
    case "wait-10000":
      return { name, nodes: [{ id: "timer", kind: "wait", with: { until: "${ input.until }" } }] };
  }
}
