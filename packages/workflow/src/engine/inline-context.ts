import type { Json, Outbound } from "@longhaul/core";
import { type NodeContext, NodeFailure, type NodeServices } from "../kinds/kind.ts";
import type { TaskHooks } from "./task-run.ts";

const neverAborted = new AbortController().signal;
const nothing = () => undefined;
const refuse = () =>
  Promise.reject(new NodeFailure("not_available", "a node that answers at once calls nobody", { retryable: false }));
const services: NodeServices = { startChild: refuse, connection: refuse, acquireCall: refuse, submitJob: refuse };

/** What a node gets that answers at once. One is made per such node, so it holds little and makes the rest when asked. */
export class InlineContext implements NodeContext {
  readonly path: string;
  readonly input: Json;
  private readonly hooks: TaskHooks;

  constructor(hooks: TaskHooks, path: string, input: Json) {
    this.hooks = hooks;
    this.path = path;
    this.input = input;
  }

  get signal(): AbortSignal {
    return neverAborted;
  }
  get outbound(): Outbound {
    return this.hooks.outbound;
  }
  get operationKey(): string {
    return "";
  }
  get timeoutMs(): number {
    return Number.POSITIVE_INFINITY;
  }
  get services(): NodeServices {
    return services;
  }
  get now(): () => number {
    return this.hooks.now;
  }
  get progress(): () => void {
    return nothing;
  }
  get log(): () => void {
    return nothing;
  }
  get spend(): () => void {
    return nothing;
  }
  get evaluate(): () => undefined {
    return nothing;
  }
  get resumeUrl(): () => string {
    const { hooks, path } = this;
    return () => hooks.resumeUrl?.(path) ?? "";
  }
}
