import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Delivery, DeliveryStateName } from "@longhaul/core";
import { DeliveryAttemptSchema, type Delivery as DeliveryMessage, DeliverySchema } from "@longhaul/proto/delivery_service";
import { DeliveryState } from "@longhaul/proto/task";
import { shownUrl } from "../endpoint/endpoint-of.ts";

/** The wire's name of each state. */
export const wireStates = {
  pending: DeliveryState.PENDING,
  paused: DeliveryState.PAUSED,
  delivered: DeliveryState.DELIVERED,
  exhausted: DeliveryState.EXHAUSTED,
} as const satisfies Record<DeliveryStateName, DeliveryState>;

/** A delivery as users see it: without its secrets, headers and body. */
export function deliveryMessage(delivery: Delivery): DeliveryMessage {
  const { id, taskId, event, url, state, nextAttemptTime, attempts, createTime } = delivery;
  return create(DeliverySchema, {
    id,
    taskId,
    event,
    url: shownUrl(url),
    state: wireStates[state],
    ...(nextAttemptTime !== undefined && { nextAttemptTime: timestampFromMs(nextAttemptTime) }),
    attempts: attempts.map(({ time, ...attempt }) => create(DeliveryAttemptSchema, { ...attempt, time: timestampFromMs(time) })),
    createTime: timestampFromMs(createTime),
  });
}
