export { acceptedBy, acceptedByName, payloadFaults } from "./definition/accepted-by.ts";
export { type CompileResult, compileWorkflow } from "./definition/compile-workflow.ts";
export type { CompiledGraph, CompiledNode, CompiledWorkflow, Need, WorkflowLimits } from "./definition/compiled-workflow.ts";
export { type DefinitionDiff, diffDefinitions, type EdgeChange, type NodeChange } from "./definition/diff-definitions.ts";
export type { ValueChange } from "./definition/diff-values.ts";
export type { DryNode } from "./definition/dry-node.ts";
export { type DryRun, type DryRunOptions, type DryRunSample, dryRun } from "./definition/dry-run.ts";
export type { Unevaluated } from "./definition/dry-values.ts";
export { durationMs } from "./definition/duration.ts";
export { ancestors, executionOrder, findCycle, type GraphNode, successors } from "./definition/graph.ts";
export { inputValidator } from "./definition/input-schema.ts";
export { maxTextLength, type ParsedText, parseDefinitionText } from "./definition/parse-text.ts";
export { type RepeatedKey, repeatedYamlKey } from "./definition/repeated-yaml-key.ts";
export type { JsonSchema } from "./definition/schema-type.ts";
export { maxNodes, namePattern, workflowSchema } from "./definition/workflow-schema.ts";
export { budgetPath } from "./engine/asks.ts";
export { operationKey } from "./engine/operation-key.ts";
export { maxOutputBytes } from "./engine/output-text.ts";
export { runTask } from "./engine/run-task.ts";
export type {
  ArrivalFact,
  LogLine,
  NodeRecord,
  NodeWaitFact,
  RecordOptions,
  StoredRun,
  TaskFacts,
  TaskHooks,
  TaskOutcome,
} from "./engine/task-run.ts";
export { closeEvaluator, type Evaluator, evaluator, evaluatorOf } from "./expression/evaluate.ts";
export { pruneScope, type RootName, rootNames, type Scope } from "./expression/scope.ts";
export { type CompiledTemplate, compileTemplate, ExpressionError, type TemplateResult } from "./expression/template.ts";
export { defaultWorkerPoolOptions, type WorkerPool, type WorkerPoolOptions, workerPool } from "./expression/worker-pool.ts";
export { type DifyImport, importDify } from "./import/dify/import-dify.ts";
export type { DifyNodeReport, DifyRemark, DifyReport } from "./import/dify/import-report.ts";
export type { Connection } from "./kinds/connection.ts";
export {
  type Accepts,
  type CallPermit,
  type CallRequest,
  type CallWait,
  type ChildRequest,
  type JobRequest,
  type KindProblem,
  type NodeContext,
  NodeFailure,
  type NodeKind,
  type NodeResult,
  type NodeServices,
  type NodeWait,
  type Sent,
  Suspension,
  type Wake,
} from "./kinds/kind.ts";
export { kinds } from "./kinds/registry.ts";
