import type { Json, OutboundRequest, OutboundResponse, OutboundStream, OutboundStreamRequest } from "@longhaul/core";
import { type NodeContext, NodeFailure, type NodeResult, type NodeServices } from "../kinds/kind.ts";
import { evaluateDeferred } from "./evaluate-deferred.ts";
import type { NodeWork } from "./node-work.ts";
import { operationKey } from "./operation-key.ts";
import type { Teller } from "./redact-secrets.ts";

/** Thrown inside a run when it has ended otherwise, so that what still runs goes away quietly. */
export class Stopped extends Error {
  override readonly name = "Stopped";
}

const unavailable: NodeServices = {
  startChild: () => Promise.reject(notAvailable("start tasks")),
  connection: () => Promise.reject(notAvailable("read connections")),
  acquireCall: () => Promise.reject(notAvailable("call models")),
  submitJob: () => Promise.reject(notAvailable("call workers")),
};

function notAvailable(what: string): NodeFailure {
  return new NodeFailure("not_available", `nodes cannot ${what} here`, { retryable: false, sent: "no" });
}

/**
 * One call of a kind, `run` or `resume`, within the node's time. Settles as soon as the time is up or the graph is stopped, whether the kind
 * listens to its signal or not. Rejects with what the kind throws, with NodeFailure `node_timeout`, or with Stopped.
 */
export async function runTry(
  work: NodeWork,
  input: Json,
  act: (context: NodeContext) => NodeResult | Promise<NodeResult>,
): Promise<NodeResult> {
  const { graph, node } = work;
  const { hooks } = graph.run;
  const stop = graph.stopSignal();
  if (stop.aborted) throw new Stopped();
  const call = new AbortController();
  const timer = new AbortController();
  let end: (why: Error) => void = () => undefined;
  const ended = new Promise<never>((_resolve, reject) => {
    end = (why) => {
      call.abort(why);
      reject(why);
    };
  });
  const onStop = () => end(new Stopped());
  stop.addEventListener("abort", onStop, { once: true });
  const { timeoutMs } = node;
  if (Number.isFinite(timeoutMs)) {
    hooks.sleep(timeoutMs, timer.signal).then(
      () =>
        timer.signal.aborted ||
        end(new NodeFailure("node_timeout", `the node took longer than ${timeoutMs} ms`, { retryable: true })),
      () => undefined,
    );
  }
  const teller = graph.run.vault.teller();
  try {
    // The kind's own end may come after ours; its late failure has nobody to tell.
    const result = Promise.resolve(act(contextOf(work, input, call.signal, teller)));
    return await Promise.race([result, ended]);
  } finally {
    stop.removeEventListener("abort", onStop);
    timer.abort();
    ended.catch(() => undefined);
    const rest = teller.rest();
    if (rest !== undefined) hooks.progress(work.path, rest);
  }
}

function contextOf(work: NodeWork, input: Json, signal: AbortSignal, teller: Teller): NodeContext {
  const { graph, node, path } = work;
  const { run } = graph;
  const { hooks, spending } = run;
  let requests = 0;
  return {
    path,
    input,
    signal,
    outbound: {
      request(request: OutboundRequest): Promise<OutboundResponse> {
        // The try itself is counted as its first call.
        if (requests++ > 0) spending.call();
        return hooks.outbound.request(request);
      },
      stream(request: OutboundStreamRequest): Promise<OutboundStream> {
        if (requests++ > 0) spending.call();
        return hooks.outbound.stream(request);
      },
    },
    operationKey: operationKey(run.facts.taskId, path),
    timeoutMs: node.timeoutMs,
    now: hooks.now,
    // What may hold secrets is not shown while it comes about either.
    progress: (delta) => {
      const told = node.withholds ? undefined : teller.tell(delta);
      if (told !== undefined) hooks.progress(path, told);
    },
    log: (line) => work.log(hooks.now(), line),
    spend: (usage) => work.spend(usage),
    resumeUrl: () => resumeUrl(work),
    services: servicesOf(work),
    evaluate: evaluateDeferred(node, run.evaluator, () => graph.scopeOf(node)),
  };
}

function secretHandedOn(): NodeFailure {
  const message =
    "the input for the other workflow holds a secret's value, which would be stored in clear; use secrets.NAME there";
  return new NodeFailure("secret_handed_on", message, { retryable: false, sent: "no" });
}

function resumeUrl({ graph, path }: NodeWork): string {
  const { hooks } = graph.run;
  if (hooks.resumeUrl === undefined) throw notAvailable("make resume links");
  return hooks.resumeUrl(path);
}

function servicesOf(work: NodeWork): NodeServices {
  const { hooks, vault } = work.graph.run;
  const services = hooks.services ?? unavailable;
  return {
    async connection(name) {
      const connection = await services.connection(name);
      if (connection.apiKey !== undefined) vault.add(connection.apiKey);
      return connection;
    },
    acquireCall: (request) => services.acquireCall(request),
    submitJob: (request) => {
      const { operationKey: key } = request;
      const tried = work.tries > 1 ? operationKey(key, `try ${work.tries}`) : key;
      const withheld = work.node.withholds || (!vault.isEmpty && vault.isIn(JSON.stringify(request.input)));
      return services.submitJob({ ...request, operationKey: tried, withheld });
    },
    async startChild(request) {
      // The input of a task is stored and shown as it is.
      if (!vault.isEmpty && vault.isIn(JSON.stringify([request.input, request.labels ?? {}]))) throw secretHandedOn();
      const child = await services.startChild(request);
      work.childTask = child.taskId;
      return child;
    },
  };
}
