import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import { type ErrorCode, LonghaulError } from "@longhaul/core";
import type { ExecutionService } from "@longhaul/proto/execution_service";
import { type ChildRequest, NodeFailure, type NodeServices } from "@longhaul/workflow";
import { acquireCall } from "./acquire-call.ts";
import { type Hold, holdMessage, stopHold } from "./hold.ts";
import { patiently } from "./patiently.ts";
import type { ProjectValues } from "./project-values.ts";

/** What a scheduler says of a request that stays wrong, however often it is sent. */
const refusals: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "workflow_not_found",
  "invalid_argument",
  "invalid_input",
  "conflict",
  "too_large",
]);

/** What the nodes of a held task may ask of Longhaul itself. `executor` is the unique name of this process. */
export function nodeServices(
  client: Pick<Client<typeof ExecutionService>, "startChild" | "submitJob" | "acquireCall" | "releaseCall">,
  executor: string,
  hold: Hold,
  values: Pick<ProjectValues, "connection">,
): NodeServices {
  return {
    async startChild({ node, workflow, input, awaited, operationKey, revision = 0, labels = {} }: ChildRequest) {
      const request = {
        hold: holdMessage(hold),
        executor,
        node,
        workflow,
        inputJson: Buffer.from(JSON.stringify(input)),
        revision,
        labels: { ...labels },
        awaited,
        // A UUID itself, and the same for every try of the node: one child, however often it is asked for.
        taskId: operationKey,
      };
      try {
        const { taskId } = await patiently(hold, () => client.startChild(request));
        return { taskId };
      } catch (why) {
        if (!(why instanceof LonghaulError)) throw why;
        if (why.code === "precondition_failed") stopHold(hold, "lost");
        if (!refusals.has(why.code)) throw why;
        const details =
          why.faults.length === 0 ? undefined : { faults: why.faults.map(({ pointer, message }) => ({ pointer, message })) };
        throw new NodeFailure(why.code, `Workflow "${workflow}" could not be started: ${why.message}`, {
          retryable: false,
          sent: "yes",
          cause: why,
          ...(details === undefined ? {} : { details }),
        });
      }
    },
    async submitJob({ node, function: name, input, operationKey: jobId, untilMs, withheld = false }) {
      const request = {
        hold: holdMessage(hold),
        executor,
        node,
        function: name,
        inputJson: Buffer.from(JSON.stringify(input)),
        jobId,
        deadline: timestampFromMs(untilMs),
        withheld,
      };
      try {
        await patiently(hold, () => client.submitJob(request));
        return { jobId };
      } catch (why) {
        if (!(why instanceof LonghaulError)) throw why;
        if (why.code === "precondition_failed") stopHold(hold, "lost");
        if (!refusals.has(why.code)) throw why;
        const message = `Function "${name}" could not be called: ${why.message}`;
        throw new NodeFailure(why.code, message, { retryable: false, sent: "no", cause: why });
      }
    },
    connection: (name) => values.connection(hold, name),
    acquireCall: (request) => acquireCall(client, executor, hold, request),
  };
}
