import type { DefinitionFault, Json } from "@longhaul/core";
import type { JsonObject } from "../../expression/cel-value.ts";
import { type ImportedEnds, importEnds } from "./import-ends.ts";
import { importIteration, loseInside } from "./import-iteration.ts";
import { type DifyNodeReport, type DifyReport, Findings } from "./import-report.ts";
import { findingsOf, type Import, importScope, type SpecialImport } from "./import-scope.ts";
import { flagAt, isBlank, isObject, objectsAt, textAt } from "./loose-fields.ts";
import { reportUnknown } from "./node-common.ts";
import { identifierOf, nodeIds, workflowName } from "./node-ids.ts";
import { importers, innerStartTypes, startTypes } from "./nodes/importers.ts";
import { type DifyApp, type DifyNode, readDify } from "./read-dify.ts";
import type { Names } from "./references.ts";
import { startInput } from "./start-input.ts";

export type DifyImport =
  | { readonly ok: true; readonly definition: JsonObject; readonly report: DifyReport }
  | { readonly ok: false; readonly faults: readonly DefinitionFault[] };

/**
 * Turns an app exported from Dify (DSL in YAML or JSON, `kind: app`, mode `workflow`, versions 0.1 to 0.7) into a definition, and says for
 * every node what was carried over, what works differently and what is lost. Nothing is left out without a word: what cannot be carried
 * over becomes a node that fails and says so. The definition may still have faults that only `compileWorkflow` finds. Pure; never throws.
 */
export function importDify(text: string): DifyImport {
  const read = readDify(text);
  if (!read.ok) return read;
  try {
    const found = importApp(read.app);
    return found.ok && isDeeper(found.definition, maxDepth) ? tooDeep : found;
  } catch (error) {
    if (error instanceof RangeError) return tooDeep;
    throw error;
  }
}

/** Levels of a definition; what has more could not be compiled either. */
const maxDepth = 60;

const tooDeep: DifyImport = {
  ok: false,
  faults: [
    { pointer: "/workflow/graph", node: "", message: "a value in the app is nested too deeply", mend: "Flatten it in Dify." },
  ],
};

function isDeeper(value: Json, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((item) => isDeeper(item, levels - 1));
}

function importApp(file: DifyApp): DifyImport {
  const app = { ...file, edges: file.edges.filter((edge) => !isStale(edge, file)) };
  const whole = new Findings();
  const system = new Set<string>();
  const secrets = new Set<string>();
  const task: Import = { app, names: namesOf(app, system, secrets), taken: new Set(), findings: new Map(), paths: new Map() };
  for (const id of task.names.ids.values()) task.taken.add(id);
  if (task.names.starts.size === 0) {
    const mend = "Give it a start node in Dify, and export it again.";
    return { ok: false, faults: [{ pointer: "/workflow/graph/nodes", node: "", message: "the app has no start node", mend }] };
  }
  const byId = new Map(app.nodes.map((node) => [node.id, node]));
  const top = app.nodes.filter(({ parent }) => parent === "" || !byId.has(parent));
  const around = { before: new Set<string>(), certain: new Set<string>(), iterations: [], path: "" };
  const ends: ImportedEnds = importEnds(task, top);
  const special: SpecialImport = (it, scope, at) => {
    if (it.node.type === "end") return ends.take(it, scope, at);
    if (it.node.type === "iteration") return importIteration(it, scope, at);
    if (!importers.has(it.node.type)) loseInside(task, it.node);
    return undefined;
  };
  const { nodes, flow } = importScope(task, top, task.names.starts, app.edges, around, special);
  const output = ends.output(flow);
  const input = importStarts(task, system);
  reportApp(app, whole, secrets);
  reportEdges(file, byId, whole);
  const definition: JsonObject = {
    name: workflowName(app.name),
    ...(app.description === "" ? {} : { description: app.description.slice(0, 4096) }),
    ...(input === undefined ? {} : { input }),
    nodes: nodes.length > 0 ? nodes : [{ id: "nothing", kind: "transform", with: null }],
    ...(output === undefined ? {} : { output }),
  };
  return { ok: true, definition, report: reportOf(task, whole, secrets) };
}

/** True for an edge behind a failure of a node that has no such way any more: the editor leaves it in the file, and nothing takes it. */
function isStale({ source, handle }: DifyApp["edges"][number], { nodes }: DifyApp): boolean {
  const node = handle === "fail-branch" ? nodes.find(({ id }) => id === source) : undefined;
  return node !== undefined && textAt(node.data, "error_strategy") !== "fail-branch";
}

function namesOf(app: DifyApp, system: Set<string>, secrets: Set<string>): Names {
  const starts = app.nodes.filter(({ type }) => startTypes.has(type));
  const real = app.nodes.filter(({ type }) => !startTypes.has(type) && !innerStartTypes.has(type) && type !== "note");
  const variables = starts.flatMap(({ data }) => objectsAt(data, "variables"));
  return {
    nodes: new Map(app.nodes.map((node) => [node.id, node])),
    ids: nodeIds(real),
    starts: new Set(starts.map(({ id }) => id)),
    inputs: new Map(variables.map((variable) => [textAt(variable, "variable"), variable])),
    environment: new Map(app.environment.map((variable) => [textAt(variable, "name"), variable])),
    placeholders: new Set(real.filter(({ type, data }) => isPlaceholder(type, data)).map(({ id }) => id)),
    useSystem: (name) => system.add(name),
    useSecret(name) {
      const secret = (identifierOf(name) ?? "secret").toUpperCase();
      secrets.add(secret);
      return secret;
    },
  };
}

function isPlaceholder(type: string, data: JsonObject): boolean {
  if (type === "end" || type === "iteration") return false;
  return !importers.has(type) || (type === "code" && textAt(data, "code_language", "python3") !== "javascript");
}

function importStarts(task: Import, system: ReadonlySet<string>): Json | undefined {
  const starts = task.app.nodes.filter(({ id }) => task.names.starts.has(id));
  const [first] = starts;
  if (first === undefined) return undefined;
  for (const { id, type, data } of starts) {
    const findings = findingsOf(task, id);
    findings.keep("start");
    if (type !== "start")
      findings.lose(
        `the trigger ${type}`,
        "an import stores no triggers",
        "Submit tasks from there, or make a schedule for the workflow.",
      );
    else reportUnknown(data, ["variables"], findings);
  }
  return startInput([...task.names.inputs.values()], system, findingsOf(task, first.id));
}

function reportApp(app: DifyApp, whole: Findings, secrets: ReadonlySet<string>): void {
  const version = /^0\.[0-7](\.\d+)?$/.test(app.version);
  if (!version)
    whole.change(
      `DSL version ${JSON.stringify(app.version.slice(0, 40))}`,
      "this import knows versions 0.1 to 0.7",
      "Look through the definition with more care.",
    );
  for (const variable of app.environment) {
    const name = textAt(variable, "name");
    const secret = (identifierOf(name) ?? "secret").toUpperCase();
    if (textAt(variable, "value_type") !== "secret")
      whole.change(
        `environment variable ${name}`,
        "a definition has no variables; its value stands where it is used",
        "Make it an input, if it is to change.",
      );
    else if (secrets.has(secret))
      whole.change(
        `environment variable ${name}`,
        "it is a secret, and secrets are not in a definition",
        `Set the secret ${secret}.`,
      );
    else whole.change(`environment variable ${name}`, "it is a secret that no node uses", "Nothing; it is left out.");
  }
  for (const variable of app.conversation)
    whole.lose(
      `conversation variable ${textAt(variable, "name")}`,
      "a workflow has no conversation",
      "Pass the value in as input.",
    );
  for (const [name, feature] of Object.entries(app.features)) {
    const isOn = isObject(feature) ? flagAt(feature, "enabled") : !isBlank(feature);
    if (isOn && name !== "retriever_resource")
      whole.lose(`feature ${name}`, "it belongs to Dify's own page", "Do it where tasks are submitted.");
  }
  if (app.dependencies > 0)
    whole.change(
      "plugins",
      "plugins of Dify are not used",
      "Nothing, but for the nodes whose report names a tool or a model provider.",
    );
}

function reportEdges(app: DifyApp, nodes: ReadonlyMap<string, DifyNode>, whole: Findings): void {
  for (const edge of app.edges) {
    const { source, target } = edge;
    if (isStale(edge, app))
      whole.change(
        `edge ${source} to ${target}`,
        "the node before has no fail branch, so it is never taken",
        "Nothing; it is left out.",
      );
    if (nodes.has(source) && nodes.has(target)) continue;
    const missing = nodes.has(source) ? target : source;
    whole.lose(
      `edge ${source} to ${target}`,
      `there is no node ${JSON.stringify(missing.slice(0, 80))}`,
      "Connect the nodes in Dify, and export the app again.",
    );
  }
}

function reportOf(task: Import, whole: Findings, secrets: ReadonlySet<string>): DifyReport {
  const nodes = task.app.nodes.map(({ id, title, type }): DifyNodeReport => {
    const found = task.findings.get(id) ?? unseen();
    const { carried, changed, lost } = found;
    return { difyId: id, title, type, node: task.paths.get(id) ?? "", carried, changed, lost };
  });
  const { changed, lost } = whole;
  return {
    app: task.app.name,
    version: task.app.version,
    complete: lost.length === 0 && nodes.every((node) => node.lost.every(({ what }) => what === "the note")),
    nodes,
    changed,
    lost,
    secrets: [...secrets].sort(),
  };
}

/** What is said of a node that no level of the graph has: it lies in something that is itself not there. */
function unseen(): Findings {
  const findings = new Findings();
  findings.lose("the node", "it lies inside a node that is not carried over", "Build it anew.");
  return findings;
}
