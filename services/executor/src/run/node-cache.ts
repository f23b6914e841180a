import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import type { Json } from "@longhaul/core";
import type { ExecutionService } from "@longhaul/proto/execution_service";
import type { TaskHooks } from "@longhaul/workflow";
import { type Hold, holdMessage } from "./hold.ts";

/** Larger results, in bytes of JSON, are not kept: they lie in small records. */
const maxKeptBytes = 49_152;
const timeoutMs = 5_000;

/** Results of nodes that earlier tasks of the project left. Rejects where the scheduler is away; the engine then does the work. */
export function nodeCache(
  client: Pick<Client<typeof ExecutionService>, "readCache" | "writeCache">,
  executor: string,
  hold: Hold,
): Required<Pick<TaskHooks, "cacheGet" | "cachePut">> {
  return {
    async cacheGet(key) {
      const { valueJson } = await client.readCache({ hold: holdMessage(hold), executor, key }, { timeoutMs });
      if (valueJson === undefined) return undefined;
      const value: Json = JSON.parse(Buffer.from(valueJson).toString());
      return value;
    },
    async cachePut(key, value, ttlMs) {
      const valueJson = Buffer.from(JSON.stringify(value));
      if (valueJson.byteLength > maxKeptBytes) return;
      await client.writeCache({ hold: holdMessage(hold), executor, key, valueJson, ttl: durationFromMs(ttlMs) }, { timeoutMs });
    },
  };
}
