import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { LonghaulError } from "@longhaul/core";
import {
  ClaimedTaskSchema,
  type ExecutionServiceAcquireCallResponse,
  ExecutionServiceAcquireCallResponseSchema,
  ExecutionServiceReleaseCallResponseSchema,
} from "@longhaul/proto/execution_service";
import type { Connection } from "@longhaul/workflow";
import { expect, test, vi } from "vitest";
import { acquireCall } from "./acquire-call.ts";
import type { Hold } from "./hold.ts";
import { inboxOf } from "./inbox.ts";

const bounded: Connection = {
  name: "models",
  kind: "openai",
  baseUrl: "http://m.test",
  allowedModels: [],
  concurrency: 2,
  requestsPerMinute: 0,
  tokensPerMinute: 0,
  headers: {},
  timeoutMs: 1_000,
};
const callId = "00000001-0000-4000-8000-000000000000";
const request = { connection: bounded, estimatedTokens: 12.4, callId };

const place = create(ExecutionServiceAcquireCallResponseSchema, {
  answer: { case: "place", value: { lease: durationFromMs(5_000) } },
});
const delay = create(ExecutionServiceAcquireCallResponseSchema, {
  answer: { case: "delay", value: { wait: durationFromMs(300), reason: 'connection "models" allows 2 calls at a time' } },
});

function world(answer: () => Promise<ExecutionServiceAcquireCallResponse>) {
  const hold: Hold = {
    task: create(ClaimedTaskSchema, { taskId: "task-1", attempt: 3, project: "acme" }),
    abort: new AbortController(),
    inbox: inboxOf(() => Promise.resolve(null)),
    leaseUntil: 0,
    provenAt: 0,
    clockAheadMs: 0,
    stopped: undefined,
  };
  const client = {
    acquireCall: vi.fn(answer),
    releaseCall: vi.fn(async () => create(ExecutionServiceReleaseCallResponseSchema)),
  };
  return { hold, client, acquire: (asked = request) => acquireCall(client, "executor-1", hold, asked) };
}

test("a place comes with its lease, and goes back with what the call took", async () => {
  const { client, acquire } = world(async () => place);
  const permit = await acquire();
  expect(permit).toMatchObject({ kind: "permit", leaseMs: 5_000 });
  expect(client.acquireCall).toHaveBeenCalledWith(
    expect.objectContaining({ executor: "executor-1", connection: "models", callId, estimatedTokens: 12n }),
  );
  if (permit.kind === "permit") permit.release(7);
  await vi.waitFor(() =>
    expect(client.releaseCall).toHaveBeenCalledWith(
      expect.objectContaining({ connection: "models", callId, tokens: 7n }),
      expect.anything(),
    ),
  );
});

test("a delay says how long and why", async () => {
  const { acquire } = world(async () => delay);
  expect(await acquire()).toEqual({ kind: "wait", waitMs: 300, reason: 'connection "models" allows 2 calls at a time' });
});

test("a connection without bounds is not asked about", async () => {
  const { client, acquire } = world(async () => delay);
  expect(await acquire({ ...request, connection: { ...bounded, concurrency: 0 } })).toMatchObject({ kind: "permit" });
  expect(client.acquireCall).not.toHaveBeenCalled();
});

test("a scheduler that is away is asked again, also to take a place back", async () => {
  vi.useFakeTimers();
  try {
    const away = new LonghaulError("unavailable", "away");
    const { client, acquire } = world(vi.fn(async () => place).mockRejectedValueOnce(away));
    const asking = acquire();
    await vi.advanceTimersByTimeAsync(200);
    const permit = await asking;
    client.releaseCall.mockRejectedValueOnce(away);
    if (permit.kind === "permit") permit.release(undefined);
    await vi.advanceTimersByTimeAsync(300);
    expect(client.releaseCall).toHaveBeenCalledTimes(2);
  } finally {
    vi.useRealTimers();
  }
});

test("a hold that is lost stops the task; a connection that was deleted fails the node", async () => {
  const lost = world(() => Promise.reject(new LonghaulError("precondition_failed", "lost")));
  await expect(lost.acquire()).rejects.toThrow("lost");
  expect(lost.hold.stopped).toBe("lost");
  const deleted = world(() => Promise.reject(new LonghaulError("not_found", "none")));
  await expect(deleted.acquire()).rejects.toMatchObject({ code: "connection_not_found", retryable: false });
});
