import { type NodeContext, NodeFailure, type NodeKind, type NodeResult } from "../kind.ts";
import { buildRequest, type Plan } from "./build-request.ts";
import { acceptsCallback, afterCallback, callbackWait } from "./callback-wait.ts";
import { checkInput } from "./check-input.ts";
import { decodeBody } from "./decode-body.ts";
import { exchange } from "./exchange.ts";
import { pageExpressions, readPages } from "./paginate.ts";
import { RequestFault } from "./request-fault.ts";
import { httpSchema } from "./schema.ts";
import { redactInput } from "./secret-names.ts";

/** Calls a web service. */
export const httpKind: NodeKind = {
  name: "http",
  description: "Calls a web service over HTTP; its output is { status, headers, body }.",
  schema: httpSchema,
  needsWith: true,
  effects: true,
  inline: false,
  defaultTimeoutMs: 60_000,
  supportsAsync: true,
  deferred: pageExpressions,
  check: checkInput,
  redact: redactInput,
  run,
  resume: afterCallback,
  accepts: acceptsCallback,
};

async function run(context: NodeContext): Promise<NodeResult> {
  const plan = planOf(context);
  if (plan.maxPages !== undefined) return readPages(context, plan, plan.maxPages);
  const response = await exchange(context, plan, plan.call, { leftMs: context.timeoutMs }, plan.maxBytes);
  const { status, headers } = response;
  const body = decodeBody(response, plan.parse);
  return plan.callback === undefined
    ? { status, headers, body }
    : callbackWait(context, plan.callback, { status, headers, body });
}

function planOf(context: NodeContext): Plan {
  try {
    return buildRequest(context.input, context.operationKey, () => callbackUrl(context));
  } catch (error) {
    if (!(error instanceof RequestFault)) throw error;
    throw new NodeFailure("invalid_request", error.message, {
      retryable: false,
      sent: "no",
      details: { pointer: `/with${error.pointer}`, mend: error.mend },
      cause: error,
    });
  }
}

/** Where the service posts the result to. Throws NodeFailure where nobody said under which address the outside finds this system. */
function callbackUrl(context: NodeContext): string {
  const url = context.resumeUrl();
  if (/^https?:/.test(url)) return url;
  throw new NodeFailure(
    "callback_not_possible",
    "an asynchronous call needs an address at which the service can call back: set PUBLIC_URL to the gateway's",
    { retryable: false, sent: "no" },
  );
}
