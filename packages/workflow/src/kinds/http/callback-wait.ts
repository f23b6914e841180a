import type { Json } from "@longhaul/core";
import { type JsonObject, setOwn } from "../../expression/cel-value.ts";
import { type Accepts, type NodeContext, NodeFailure, type NodeResult, type NodeWait, Suspension, type Wake } from "../kind.ts";
import type { AsyncCall } from "./async-call.ts";

/** What the called system said when it took the call. */
interface Taken {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Json;
}

/** The node waits for the called system to report; what it said so far is kept for the output. */
export function callbackWait(context: NodeContext, { timeoutMs }: AsyncCall, { status, headers, body }: Taken): Suspension {
  return new Suspension({
    kind: "callback",
    reason: `The service answered ${status} and is to report its result to the callback URL.`,
    untilMs: context.now() + timeoutMs,
    memory: { status, headers, accepted: body },
  });
}

/** Goes on with the callback's body as `body`; throws NodeFailure `callback_timeout` when there was none in time. */
export function afterCallback(_context: NodeContext, wait: NodeWait, wake: Wake): NodeResult {
  switch (wake.kind) {
    case "arrival":
      return outputWith(wait.memory ?? null, wake.payload);
    case "time":
      // The call was taken, so whether its work was done is exactly what nobody knows.
      throw new NodeFailure("callback_timeout", "the service did not report its result in time", {
        retryable: true,
        sent: "unknown",
      });
    case "failed":
      throw new NodeFailure(wake.error.code, wake.error.message, {
        retryable: wake.error.retryable,
        ...(wake.error.details === undefined ? {} : { details: wake.error.details }),
      });
  }
}

function outputWith(memory: Json, body: Json): Json {
  const output: Record<string, Json> = {};
  if (typeof memory === "object" && memory !== null && !Array.isArray(memory))
    for (const [key, value] of Object.entries(memory)) setOwn(output, key, value);
  setOwn(output, "body", body);
  return output;
}

/** A node with `async` takes any JSON through its URL; one without takes nothing. */
export function acceptsCallback(definition: JsonObject): Accepts | undefined {
  const input = definition["with"];
  if (typeof input !== "object" || input === null || Array.isArray(input)) return undefined;
  return Object.hasOwn(input, "async") ? {} : undefined;
}
