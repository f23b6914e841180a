import type { CatalogStore, Live, PayloadStore, Rules, TaskStore } from "@longhaul/core";
import type { SubmitItem, SubmitResult } from "@longhaul/proto/intake_service";
import type { Logger, SecretBox } from "@longhaul/shared";
import type { Ledger } from "../ledger/ledger.ts";
import type { Bells } from "../loops/bells.ts";
import type { Dispatcher } from "../loops/dispatcher.ts";
import type { Catalog } from "../workflows/catalog.ts";

/** What the methods of the scheduler's services share. */
export interface SchedulerDeps {
  readonly store: TaskStore;
  readonly payloads: PayloadStore;
  readonly catalogStore: CatalogStore;
  readonly catalog: Catalog;
  readonly ledger: Ledger;
  readonly dispatcher: Dispatcher;
  readonly live: Live;
  readonly bells: Bells;
  readonly box: SecretBox;
  readonly rules: Rules;
  readonly log: Logger;
  readonly now: () => number;
  readonly maxValueBytes: number;
  /** Submits that come here directly, gathered as the gateway gathers its own. */
  readonly submit: (item: SubmitItem) => Promise<SubmitResult>;
}
