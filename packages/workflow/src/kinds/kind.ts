import type { Failure, Json, Outbound } from "@longhaul/core";
import type { JsonSchema } from "../definition/schema-type.ts";

/** What a node gets to work with. */
export interface NodeContext {
  /** The node's `with`, evaluated. */
  readonly input: Json;
  /** Aborts when the task is cancelled, the lease ends or the node's time is up. */
  readonly signal: AbortSignal;
  readonly outbound: Outbound;
  /** The same for every try of this node within one logical attempt: what the outside uses to tell a repeat from a second call. */
  readonly operationKey: string;
  /** Time of this try. */
  readonly timeoutMs: number;
  /** Wall clock, ms since 1970. */
  now(): number;
  /** Shows live progress to whoever watches; may be dropped. */
  progress(delta: Json): void;
}

/** Something wrong with a node's `with` that its schema cannot say; the pointer is relative to `with`. */
export interface KindProblem {
  readonly pointer: string;
  readonly message: string;
  readonly mend: string;
}

/**
 * A kind of node. Kinds that wait for something or run a sub-graph will differ in what `run` answers (a suspension besides an output) and
 * bring properties beside `with`; both belong here.
 */
export interface NodeKind {
  readonly name: string;
  /** One sentence, shown by editors. */
  readonly description: string;
  /** JSON Schema of `with`; places that may hold an expression say so with `orExpression`. */
  readonly schema: JsonSchema;
  /** True when `with` must be there. */
  readonly needsWith: boolean;
  /**
   * True when it touches the outside world. Then everything it can see is durably stored, and its start recorded, before it runs, and its
   * result before the next node starts.
   */
  readonly effects: boolean;
  /** True when `run` answers at once, without a promise: then it gets no time of its own and runs where it is needed. */
  readonly inline: boolean;
  /** Time of one try when the definition gives none; Infinity for none. */
  readonly defaultTimeoutMs: number;
  /** False when a task with such a node cannot be run asynchronously. */
  readonly supportsAsync: boolean;
  /** Checks what the schema cannot say. */
  check?(input: Json): readonly KindProblem[];
  /** Does the work. Throws NodeFailure for an expected failure; the signal's reason when aborted. */
  run(context: NodeContext): Json | Promise<Json>;
}

/** A node's expected failure, as its kind reports it. */
export class NodeFailure extends Error {
  override readonly name = "NodeFailure";
  readonly code: string;
  /** True when the same call may succeed later; only then the node's `retry` applies. */
  readonly retryable: boolean;
  /** What the other side asked to wait. */
  readonly retryAfterMs: number | undefined;
  readonly details: Failure["details"];

  constructor(
    code: string,
    message: string,
    more: {
      readonly retryable: boolean;
      readonly retryAfterMs?: number;
      readonly details?: Failure["details"];
      readonly cause?: unknown;
    },
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.code = code;
    this.retryable = more.retryable;
    this.retryAfterMs = more.retryAfterMs;
    this.details = more.details;
  }
}
