/** The two workflows that everything is measured with. */
export type WorkflowName = "echo" | "chain5";

export const workflowNames: readonly WorkflowName[] = ["echo", "chain5"];

/** How many nodes record a result. */
export const nodeCounts: Readonly<Record<WorkflowName, number>> = { echo: 1, chain5: 5 };

/** As `PUT /v1/workflows/{name}` takes it: `nodes` transforms in a row, each passing on what it got. */
export function definitionOf(name: WorkflowName): object {
  const nodes = Array.from({ length: nodeCounts[name] }, (_, i) =>
    i === 0
      ? { id: "n1", kind: "transform", with: "${ input }" }
      : { id: `n${i + 1}`, kind: "transform", needs: [`n${i}`], with: `\${ nodes.n${i} }` },
  );
  return { name, nodes, output: `\${ nodes.n${nodes.length} }` };
}

const words = (
  "the report of that week shows how many orders were late and why most of them left from two places in one night when a storm " +
  "closed the coast road for eleven hours drivers waited at the bridge until police opened it again while customers wrote to ask " +
  "where their parcels lay our team answered each letter within a day and offered either money back or a second delivery without " +
  "charge about half chose money which cost less than we feared because small orders prevail in winter next month we plan to keep " +
  "stock nearer to large towns so that no single road decides whether goods arrive on time managers should read the annex first"
).split(" ");

/** Texts of about 1 KB, all different, the same in every run. */
export function sampleTexts(count: number): readonly string[] {
  let seed = 20_261_121;
  const next = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % below;
  };
  return Array.from({ length: count }, (_, number) => {
    let text = `Order ${number}, page ${next(1_000)}.`;
    while (text.length < 990) text += ` ${words[next(words.length)]}${next(12) === 0 ? "." : ""}`;
    return text.slice(0, 1_000);
  });
}

export const texts = sampleTexts(64);
