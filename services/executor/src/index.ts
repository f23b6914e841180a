export { type Executor, type ExecutorParts, executor } from "./executor.ts";
