import { create } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";
import { type Limit, LimitSchema, type LimitService } from "@longhaul/proto/limit_service";

/** A LimitService that keeps what it is told; `note` hears of every call. */
export function fakeLimits(
  note: (method: string, context: HandlerContext, request: object) => unknown,
): Partial<ServiceImpl<typeof LimitService>> {
  const limits = new Map<string, Limit>();
  return {
    put(request, context) {
      note("PutLimit", context, request);
      const limit = create(LimitSchema, { key: request.key, concurrency: request.concurrency, source: "managed" });
      limits.set(request.key, limit);
      return { limit };
    },
    get(request, context) {
      note("GetLimit", context, request);
      const limit = limits.get(request.key);
      if (limit === undefined) throw new LonghaulError("not_found", "there is no such limit");
      return { limit };
    },
    list(request, context) {
      note("ListLimits", context, request);
      return { limits: [...limits.values()] };
    },
    delete(request, context) {
      note("DeleteLimit", context, request);
      limits.delete(request.key);
      return {};
    },
  };
}
