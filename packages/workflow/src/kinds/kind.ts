import type { Failure, Json, Outbound, RetryRule, Usage, WaitKind } from "@longhaul/core";
import type { JsonSchema } from "../definition/schema-type.ts";
import type { JsonObject } from "../expression/cel-value.ts";
import type { Connection } from "./connection.ts";

/** What a node waits for; stored with its run. */
export interface NodeWait {
  readonly kind: WaitKind;
  /** One sentence for people. */
  readonly reason: string;
  /** Name of the signal. */
  readonly name?: string;
  /** When it goes on at the latest, in ms since 1970; without it only an arrival lets it. */
  readonly untilMs?: number;
  /** What is shown: prompt, choices, schema, the child's id. */
  readonly details?: Json;
  /** The kind's own; handed back to `resume` and shown to nobody. */
  readonly memory?: Json;
}

/** Answered by `run` or `resume` instead of an output: the node waits and holds no executor. */
export class Suspension {
  readonly wait: NodeWait;
  constructor(wait: NodeWait) {
    this.wait = wait;
  }
}

/** Why a waiting node goes on. */
export type Wake =
  /** `untilMs` has come. */
  | { readonly kind: "time" }
  /** Something came for it; `by` is who sent it, empty where nobody said. */
  | { readonly kind: "arrival"; readonly payload: Json; readonly by: string }
  /** What it waited for has failed. */
  | { readonly kind: "failed"; readonly error: Failure };

/** What a node answers: its output, or that it waits. */
export type NodeResult = Json | Suspension;

/** A task to start from a node. */
export interface ChildRequest {
  /** Path of the node that starts it. */
  readonly node: string;
  /** Name of the workflow. */
  readonly workflow: string;
  readonly input: Json;
  /** Whether the end of the child is to arrive at the node. */
  readonly awaited: boolean;
  /** The same call starts one task. */
  readonly operationKey: string;
  /** The latest if not given. */
  readonly revision?: number;
  readonly labels?: Readonly<Record<string, string>>;
}

/** A call to a model that is about to be made. */
export interface CallRequest {
  readonly connection: Connection;
  /** What it will take, in and out, as far as that can be known before. */
  readonly estimatedTokens: number;
  /** UUID of this call; asked for again it is one place. */
  readonly callId: string;
}

/** A place among the calls that a connection allows. */
export interface CallPermit {
  readonly kind: "permit";
  /** The place is kept this long from when it was asked for; the call must have ended before. */
  readonly leaseMs: number;
  /**
   * Gives the place back and says how many tokens the call took; undefined where nobody knows, so that what was estimated counts. Never throws; a
   * place that is not given back lapses by itself.
   */
  release(totalTokens: number | undefined): void;
}

/** No place now. */
export interface CallWait {
  readonly kind: "wait";
  /** When to ask again. */
  readonly waitMs: number;
  /** Which limit it is, as a sentence. */
  readonly reason: string;
}

/** A function of a remote worker to call. */
export interface JobRequest {
  /** Path of the node that waits for the answer. */
  readonly node: string;
  /** Name of the function. */
  readonly function: string;
  readonly input: Json;
  /** The node's own; each further try of the node is another job. */
  readonly operationKey: string;
  /** When the node waits no more, in ms since 1970. */
  readonly untilMs: number;
  /** Set by the engine for a node that works with secrets: what the worker says meanwhile is neither shown nor kept. */
  readonly withheld?: boolean;
}

/** What nodes ask of Longhaul itself. Every one rejects with NodeFailure where it cannot. */
export interface NodeServices {
  /** Starts a task, once for one operation key; resolves when it is durably stored. */
  startChild(request: ChildRequest): Promise<{ readonly taskId: string }>;
  /** Rejects with NodeFailure `connection_not_found`, or `secret_not_found` where its key is a secret that does not exist. */
  connection(name: string): Promise<Connection>;
  /** Asks for a place among the calls side by side, the calls and the tokens per minute of a connection, over all executors. */
  acquireCall(request: CallRequest): Promise<CallPermit | CallWait>;
  /** Gives a function to a worker, once for one try of a node; resolves when the job is durably stored. The answer arrives at the node. */
  submitJob(request: JobRequest): Promise<{ readonly jobId: string }>;
}

/** What a node gets to work with. */
export interface NodeContext {
  /** Address of the node inside the task: `fetch`, `each[3].summary`. */
  readonly path: string;
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
  /** Adds a line to the node's log, which keeps 64 KiB. */
  log(line: string): void;
  /** Adds what a call to a model took. */
  spend(usage: Usage): void;
  /** A signed URL; posting JSON to it once is an arrival for this node. */
  resumeUrl(): string;
  readonly services: NodeServices;
  /**
   * Evaluates one of the kind's `deferred` parts, beside everything that `with` sees also with `response`. Undefined where the definition does
   * not give that part. Throws, or rejects with, ExpressionError.
   */
  evaluate(pointer: string, names: { readonly response: Json }): Json | undefined | Promise<Json>;
}

/** Something wrong with a node's `with` that its schema cannot say; the pointer is relative to `with`. */
export interface KindProblem {
  readonly pointer: string;
  readonly message: string;
  readonly mend: string;
}

/** Which arrivals a node takes, as far as its definition says. */
export interface Accepts {
  /** Name of the signal. */
  readonly name?: string;
  /** What a payload must fit; any JSON without it. */
  readonly schema?: JsonSchema;
}

/** A kind of node. */
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
  /** How a node is tried again whose definition has no `retry`; once and no more without it. */
  readonly defaultRetry?: RetryRule;
  /** False when a task with such a node cannot be run asynchronously. */
  readonly supportsAsync: boolean;
  /**
   * JSON pointers below `with`, through objects only, of what the kind evaluates itself by `context.evaluate`, as often as it likes. These
   * parts are compiled and checked with the definition, may use `response`, and are left out of the evaluated `with`.
   */
  readonly deferred?: readonly string[];
  /** Keys of `with` below which all text is taken as it is: `${` in it begins no expression. */
  readonly verbatim?: readonly string[];
  /** The evaluated `with` as it may be recorded and shown: without credentials. */
  redact?(input: Json): Json;
  /** Checks what the schema cannot say. */
  check?(input: Json): readonly KindProblem[];
  /** Does the work. Throws NodeFailure for an expected failure; the signal's reason when aborted. */
  run(context: NodeContext): NodeResult | Promise<NodeResult>;
  /** Goes on after the wait that `run`, or `resume` before, answered with. Needed by kinds that wait. May be called again after a crash. */
  resume?(context: NodeContext, wait: NodeWait, wake: Wake): NodeResult | Promise<NodeResult>;
  /** For kinds that take arrivals from people and systems: what they take, by the node's definition. */
  accepts?(definition: JsonObject): Accepts | undefined;
  /** True for a kind whose definition has a graph of its own, in `nodes` and `output`, which the engine runs. */
  readonly nested?: true;
  /** False where `timeout` and `retry` mean nothing to it; then the definition may not give them. */
  readonly triable?: false;
}

/** Whether the outside may have seen a call that failed: its answer is known, it was never sent, or nobody knows. */
export type Sent = "no" | "unknown" | "yes";

/** A node's expected failure, as its kind reports it. */
export class NodeFailure extends Error {
  override readonly name = "NodeFailure";
  readonly code: string;
  /** True when the same call may succeed later; only then the node's `retry` applies. */
  readonly retryable: boolean;
  /** What the other side asked to wait. */
  readonly retryAfterMs: number | undefined;
  readonly details: Failure["details"];
  /** Matters for kinds with effects only. */
  readonly sent: Sent;
  /** True where nothing was tried, because it was not its turn yet: tried again after `retryAfterMs`, however often, whatever `retry` says. */
  readonly notTried: boolean;

  constructor(
    code: string,
    message: string,
    more: {
      readonly retryable: boolean;
      readonly retryAfterMs?: number;
      readonly details?: Failure["details"];
      readonly cause?: unknown;
      /** `unknown` if not given. */
      readonly sent?: Sent;
      /** False if not given. */
      readonly notTried?: boolean;
    },
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.code = code;
    this.retryable = more.retryable;
    this.retryAfterMs = more.retryAfterMs;
    this.details = more.details;
    this.sent = more.sent ?? "unknown";
    this.notTried = more.notTried ?? false;
  }
}
