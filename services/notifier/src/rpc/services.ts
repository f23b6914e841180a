import type { ServiceImpl } from "@connectrpc/connect";
import type { DeliveryService } from "@longhaul/proto/delivery_service";
import type { NotifierService } from "@longhaul/proto/notifier_service";
import { accept } from "./accept.ts";
import type { NotifierRpcDeps } from "./deps.ts";
import { get } from "./get.ts";
import { list } from "./list.ts";
import { replay } from "./replay.ts";
import { replayFailed } from "./replay-failed.ts";

/** The notifier's services, as objects that a router or a direct client can call. */
export interface NotifierServices {
  readonly notifier: ServiceImpl<typeof NotifierService>;
  readonly delivery: ServiceImpl<typeof DeliveryService>;
}

export function notifierServices(deps: NotifierRpcDeps): NotifierServices {
  return {
    notifier: { accept: (request) => accept(deps, request) },
    delivery: {
      list: (request, context) => list(deps, request, context),
      get: (request, context) => get(deps, request, context),
      replay: (request, context) => replay(deps, request, context),
      replayFailed: (request, context) => replayFailed(deps, request, context),
    },
  };
}
