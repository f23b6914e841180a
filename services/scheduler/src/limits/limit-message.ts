import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Slot } from "@longhaul/core";
import { type Limit, LimitHolderSchema, LimitSchema } from "@longhaul/proto/limit_service";
import type { SchedulerDeps } from "../rpc/deps.ts";
import type { Setting } from "./limit-settings.ts";

const shownHolders = 100;
const countedTasks = 10_000;

/** A limit and its use. */
export async function limitMessage(
  { slotBook, store }: Pick<SchedulerDeps, "slotBook" | "store">,
  project: string,
  key: string,
  { concurrency, source, updateTime }: Setting,
  show: { readonly holders: boolean },
): Promise<Limit> {
  const [slots, waiting] = await Promise.all([slotBook.read(project, key), store.countLimited(project, key, countedTasks)]);
  return create(LimitSchema, {
    key,
    concurrency,
    used: slots.length,
    waiting,
    holders: show.holders ? slots.slice(0, shownHolders).map(holderMessage) : [],
    source,
    updateTime: timestampFromMs(updateTime),
  });
}

function holderMessage({ taskId, since }: Slot) {
  return create(LimitHolderSchema, { taskId, since: timestampFromMs(since) });
}
