export { ApiError } from "./api/api-error.ts";
export type { Json } from "./api/json.ts";
export type { FunctionHandler, JobContext, ServedFunction } from "./worker/function.ts";
export { JobError } from "./worker/job-error.ts";
export { type Worker, type WorkerOptions, worker } from "./worker/worker.ts";
