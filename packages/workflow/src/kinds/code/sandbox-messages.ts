/** One run, as the thread gets it. */
export interface SandboxRequest {
  readonly id: number;
  /** An ES module. */
  readonly source: string;
  /** JSON text of what the default export receives. */
  readonly input: string;
  readonly memoryBytes: number;
  readonly outputBytes: number;
  /** What the clock says, ms since 1970; without it the code has no clock. */
  readonly nowMs: number | undefined;
  /** Start of `Math.random`: an integer from 1 to 2^48. */
  readonly seed: number;
  /** Time from when the thread begins. */
  readonly limitMs: number;
}

/** Where in the source an error arose; lines and columns count from 1. */
export interface SourcePlace {
  readonly line: number;
  readonly column: number;
}

/** Why a run gave no result. */
export type SandboxFault =
  | { readonly kind: "error"; readonly name: string; readonly message: string; readonly place: SourcePlace | undefined }
  | { readonly kind: "invalid_output" | "never_settles" | "crashed"; readonly message: string }
  | { readonly kind: "timeout" | "memory" | "output_too_large" };

export type SandboxReply =
  | { readonly kind: "ready" }
  | { readonly kind: "log"; readonly id: number; readonly line: string }
  | { readonly kind: "done"; readonly id: number; readonly output: string }
  | { readonly kind: "failed"; readonly id: number; readonly fault: SandboxFault };
