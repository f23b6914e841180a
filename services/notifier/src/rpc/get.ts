import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";
import {
  type DeliveryServiceGetRequest,
  type DeliveryServiceGetResponse,
  DeliveryServiceGetResponseSchema,
} from "@longhaul/proto/delivery_service";
import { projectOf } from "@longhaul/shared";
import { deliveryMessage } from "./delivery-message.ts";
import type { NotifierRpcDeps } from "./deps.ts";

/** One delivery with its attempts; one of another project is not found. */
export async function get(
  { store }: NotifierRpcDeps,
  { id }: DeliveryServiceGetRequest,
  context: HandlerContext,
): Promise<DeliveryServiceGetResponse> {
  const found = await store.get(projectOf(context), id);
  if (!found) throw new LonghaulError("delivery_not_found", `There is no delivery ${id}.`);
  return create(DeliveryServiceGetResponseSchema, { delivery: deliveryMessage(found.delivery) });
}
