import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";
import {
  type DeliveryServiceListRequest,
  type DeliveryServiceListResponse,
  DeliveryServiceListResponseSchema,
} from "@longhaul/proto/delivery_service";
import { projectOf } from "@longhaul/shared";
import { deliveryMessage } from "./delivery-message.ts";
import type { NotifierRpcDeps } from "./deps.ts";
import { pageToken, placeBehind } from "./page-token.ts";
import { taskIdOf } from "./task-id.ts";

const defaultPageSize = 50;
const maxPageSize = 500;

/** The deliveries of a task in the order of their ids; of a task that is unknown or of another project there are none. */
export async function list(
  { store }: NotifierRpcDeps,
  request: DeliveryServiceListRequest,
  context: HandlerContext,
): Promise<DeliveryServiceListResponse> {
  const project = projectOf(context);
  const taskId = taskIdOf(request.taskId);
  if (request.pageSize < 0 || request.pageSize > maxPageSize)
    throw invalid("/pageSize", `A page has 1 to ${maxPageSize} entries.`);
  const size = request.pageSize || defaultPageSize;
  const after = placeBehind(request.pageToken, taskId);
  // One more than asked for says whether there is another page.
  const found = await store.listByTask(project, taskId, size + 1, after);
  const page = found.slice(0, size);
  const last = page.at(-1);
  return create(DeliveryServiceListResponseSchema, {
    deliveries: page.map(deliveryMessage),
    nextPageToken: found.length > size && last ? pageToken(taskId, last.id) : "",
  });
}

function invalid(pointer: string, message: string): LonghaulError {
  return new LonghaulError("invalid_argument", message, { faults: [{ pointer, message }] });
}
