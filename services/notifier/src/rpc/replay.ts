import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type DeliveryServiceReplayRequest,
  type DeliveryServiceReplayResponse,
  DeliveryServiceReplayResponseSchema,
} from "@longhaul/proto/delivery_service";
import { projectOf } from "@longhaul/shared";
import { deliveryMessage } from "./delivery-message.ts";
import type { NotifierRpcDeps } from "./deps.ts";

/** Sends an ended delivery again, with the same id and body and a fresh set of attempts. */
export async function replay(
  { sender }: NotifierRpcDeps,
  { id }: DeliveryServiceReplayRequest,
  context: HandlerContext,
): Promise<DeliveryServiceReplayResponse> {
  const delivery = await sender.replay(projectOf(context), id);
  return create(DeliveryServiceReplayResponseSchema, { delivery: deliveryMessage(delivery) });
}
