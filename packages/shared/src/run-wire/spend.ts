import { create } from "@bufbuild/protobuf";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import type { Spent, Usage } from "@longhaul/core";
import { type Spend, SpendSchema, type Usage as UsageMessage, UsageSchema } from "@longhaul/proto/task";

/** What was spent, as it travels between services and as the API shows it. */
export function spendMessage(spent: Spent): Spend {
  return create(SpendSchema, {
    tokens: BigInt(Math.round(spent.tokens)),
    calls: BigInt(Math.round(spent.calls)),
    nodeRuns: BigInt(Math.round(spent.nodeRuns)),
    runTime: durationFromMs(Math.round(spent.runMs)),
  });
}

/** What was spent, as another service sent it. Nothing is ever given back: what is below zero counts as zero. */
export function spentOf({ tokens, calls, nodeRuns, runTime }: Spend): Spent {
  return {
    tokens: Math.max(0, Number(tokens)),
    calls: Math.max(0, Number(calls)),
    nodeRuns: Math.max(0, Number(nodeRuns)),
    runMs: runTime === undefined ? 0 : Math.max(0, durationMs(runTime)),
  };
}

/** What a node's calls to models took, as it travels between services and as the API shows it. */
export function usageMessage({ inputTokens, outputTokens, totalTokens, firstTokenMs }: Usage): UsageMessage {
  const message = create(UsageSchema, {
    inputTokens: BigInt(Math.round(inputTokens)),
    outputTokens: BigInt(Math.round(outputTokens)),
    totalTokens: BigInt(Math.round(totalTokens)),
  });
  if (firstTokenMs !== undefined) message.firstTokenTime = durationFromMs(Math.round(firstTokenMs));
  return message;
}

/** What a node's calls to models took, as another service sent it. */
export function usageOf({ inputTokens, outputTokens, totalTokens, firstTokenTime }: UsageMessage): Usage {
  return {
    inputTokens: Number(inputTokens),
    outputTokens: Number(outputTokens),
    totalTokens: Number(totalTokens),
    ...(firstTokenTime === undefined ? {} : { firstTokenMs: durationMs(firstTokenTime) }),
  };
}
