import type { ImportedNode, NodeImport } from "./node-import.ts";

/** A node in the place of one that cannot be carried over: it fails and says why, so that nothing goes on without it unnoticed. */
export function placeholder({ node, id, findings }: NodeImport, reason: string, mend: string): ImportedNode {
  const message = `${node.title || id} was not carried over from Dify: ${reason}`;
  findings.lose("the node", `${reason}; a placeholder that fails stands in its place`, mend);
  return {
    kind: "code",
    with: { source: `export default () => {\n  throw new Error(${JSON.stringify(message)});\n};\n` },
  };
}

/** Why nodes of a type cannot be carried over, and what to do. */
export const notCarried: ReadonlyMap<string, readonly [reason: string, mend: string]> = new Map([
  [
    "knowledge-retrieval",
    ["Longhaul has no knowledge base", "Call the API of your search with an http node, and put out { result }."],
  ],
  [
    "tool",
    ["Dify's tools and plugins run in Dify only", "Call the tool's own API with an http node, or serve it by a worker node."],
  ],
  ["agent", ["Dify's agents run in Dify only", "Use llm nodes, or a worker node that runs the agent."]],
  [
    "question-classifier",
    [
      "there is no kind that classifies questions",
      "Use an llm node with a schema, and a transform that puts out { class_id }; the nodes behind it look at class_id.",
    ],
  ],
  ["parameter-extractor", ["there is no kind that extracts parameters", "Use an llm node whose schema has the parameters."]],
  [
    "document-extractor",
    ["there is no kind that reads documents", "Serve it by a worker node, or call a service with an http node."],
  ],
  ["list-operator", ["there is no kind for lists alone", "Write it as an expression with filter, or as a code node."]],
  ["assigner", ["a workflow has no conversation variables", "Put the value into a transform node."]],
  [
    "loop",
    ["there is no loop until a condition holds", "Use foreach over a list of rounds, or a workflow that starts itself again."],
  ],
  ["human-input", ["forms are not carried over", "Use an approval or signal node; the nodes behind it look at its choice."]],
  ["answer", ["a workflow answers once, at its end", "Put the text into output."]],
  ["datasource", ["Dify's data sources run in Dify only", "Fetch the data with an http node."]],
]);
