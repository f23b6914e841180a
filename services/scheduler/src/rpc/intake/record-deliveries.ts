import { create } from "@bufbuild/protobuf";
import {
  type IntakeServiceRecordDeliveriesRequest,
  type IntakeServiceRecordDeliveriesResponse,
  IntakeServiceRecordDeliveriesResponseSchema,
} from "@longhaul/proto/intake_service";
import type { Entry } from "../../ledger/ledger.ts";
import { webhookEvents } from "../../tasks/check-submission.ts";
import { deliveryStateName } from "../../tasks/task-message.ts";
import type { SchedulerDeps } from "../deps.ts";

export async function recordDeliveries(
  deps: SchedulerDeps,
  request: IntakeServiceRecordDeliveriesRequest,
): Promise<IntakeServiceRecordDeliveriesResponse> {
  const entries = request.standings.flatMap((standing): Entry[] => {
    const state = deliveryStateName(standing.state);
    const event = webhookEvents.find((known) => known === standing.event);
    if (state === undefined || event === undefined) return [];
    const key = { project: standing.project, id: standing.taskId };
    return [{ key, event: { kind: "delivery", event, state, sequence: Number(standing.sequence) } }];
  });
  // Whatever the outcome: recorded now, recorded before, or a task that is gone; none needs to be sent again.
  await deps.ledger.apply(entries);
  return create(IntakeServiceRecordDeliveriesResponseSchema, { recorded: request.standings.map(({ taskId }) => taskId) });
}
