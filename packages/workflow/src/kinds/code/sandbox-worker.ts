import { parentPort } from "node:worker_threads";
import { consoleLimits } from "./console-limits.ts";
import { loadInterpreter, runInSandbox } from "./sandbox.ts";
import type { SandboxReply, SandboxRequest } from "./sandbox-messages.ts";

// The thread behind `sandboxPool`: one run after the other, each in an interpreter of its own. It may be terminated at any time.

const interpreter = await loadInterpreter();

function post(reply: SandboxReply): void {
  parentPort?.postMessage(reply);
}

async function answer(request: SandboxRequest): Promise<void> {
  const { id } = request;
  const outcome = await runInSandbox(
    interpreter,
    request,
    consoleLimits((line) => post({ kind: "log", id, line })),
  );
  post(outcome.ok ? { kind: "done", id, output: outcome.output } : { kind: "failed", id, fault: outcome.fault });
}

parentPort?.on("message", (request: SandboxRequest) => void answer(request));
post({ kind: "ready" });
