/** To the worker: a template and the part of the scope that it uses, both as JSON text, which crosses threads faster than structures do. */
export interface EvaluateRequest {
  readonly id: number;
  readonly template: string;
  readonly scope: string;
  readonly units: number;
}

/** From the worker: the result as JSON text, or why there is none. */
export type EvaluateReply =
  /** Said once, when the thread has loaded. */
  | { readonly ready: true }
  | { readonly ready?: never; readonly id: number; readonly ok: true; readonly result: string }
  | { readonly ready?: never; readonly id: number; readonly ok: false; readonly message: string; readonly pointer: string };
