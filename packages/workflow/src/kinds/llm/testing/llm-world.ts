import type { Json, Usage } from "@longhaul/core";
import type { Connection } from "../../connection.ts";
import { type CallPermit, type CallRequest, type CallWait, type NodeContext, NodeFailure } from "../../kind.ts";
import { llmKind } from "../run.ts";

export const apiKey = "sk-0123456789-own-key";

export function connectionTo(baseUrl: string, more: Partial<Connection> = {}): Connection {
  return {
    name: "default",
    kind: "openai",
    baseUrl,
    apiKey,
    defaultModel: "small",
    allowedModels: [],
    concurrency: 0,
    requestsPerMinute: 0,
    tokensPerMinute: 0,
    headers: {},
    timeoutMs: 60_000,
    ...more,
  };
}

const none = () => Promise.reject(new Error("an llm node asks for no such thing"));

/** What the engine gives to an llm node, and what came of it. */
export function llmWorld(
  outbound: NodeContext["outbound"],
  connection: Connection,
  acquire?: (request: CallRequest) => CallPermit | CallWait,
) {
  const told: Json[] = [];
  const spent: Usage[] = [];
  const logged: string[] = [];
  const released: (number | undefined)[] = [];
  const asked: CallRequest[] = [];
  const permit: CallPermit = { kind: "permit", leaseMs: 600_000, release: (tokens) => void released.push(tokens) };
  const contextOf = (input: Json, more: Partial<NodeContext> = {}): NodeContext => ({
    path: "ask",
    input,
    signal: new AbortController().signal,
    outbound,
    operationKey: "00000000-0000-8000-8000-000000000001",
    timeoutMs: 30_000,
    now: Date.now,
    progress: (delta) => void told.push(delta),
    log: (line) => void logged.push(line),
    spend: (usage) => void spent.push(usage),
    resumeUrl: () => "https://longhaul.test/v1/resume/x",
    services: {
      startChild: none,
      submitJob: none,
      connection: async (name) => {
        if (name === connection.name) return connection;
        throw new NodeFailure("connection_not_found", `no connection ${name}`, { retryable: false, sent: "no" });
      },
      acquireCall: async (request) => {
        asked.push(request);
        return acquire?.(request) ?? permit;
      },
    },
    evaluate: () => undefined,
    ...more,
  });
  return {
    told,
    spent,
    logged,
    released,
    asked,
    permit,
    contextOf,
    run: (input: Readonly<Record<string, Json>> = {}, more: Partial<NodeContext> = {}) =>
      Promise.resolve(llmKind.run(contextOf({ messages: [{ role: "user", content: "Hello there" }], ...input }, more))),
    async failure(input: Readonly<Record<string, Json>> = {}, more: Partial<NodeContext> = {}): Promise<NodeFailure> {
      try {
        await this.run(input, more);
      } catch (error) {
        if (error instanceof NodeFailure) return error;
        throw error;
      }
      throw new Error("it did not fail");
    },
  };
}
