import type { CatalogStore, JobRules, JobStore, Live, PayloadStore, ResourceStore, Rules, TaskStore } from "@longhaul/core";
import type { SubmitItem, SubmitResult } from "@longhaul/proto/intake_service";
import type { Logger, ResumeKeys, SecretBox } from "@longhaul/shared";
import type { CallBook } from "../calls/call-book.ts";
import type { JobBells } from "../jobs/job-bells.ts";
import type { SeenFunctions } from "../jobs/seen-functions.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { LimitSettings } from "../limits/limit-settings.ts";
import type { SlotBook } from "../limits/slot-book.ts";
import type { Bells } from "../loops/bells.ts";
import type { Dispatcher } from "../loops/dispatcher.ts";
import type { Limits } from "../loops/limits.ts";
import type { Schedules } from "../loops/schedules.ts";
import type { Catalog } from "../workflows/catalog.ts";

/** What the methods of the scheduler's services share. */
export interface SchedulerDeps {
  readonly store: TaskStore;
  readonly payloads: PayloadStore;
  readonly catalogStore: CatalogStore;
  readonly resources: ResourceStore;
  readonly catalog: Catalog;
  readonly ledger: Ledger;
  readonly dispatcher: Dispatcher;
  readonly schedules: Schedules;
  readonly limits: Limits;
  readonly limitSettings: LimitSettings;
  readonly slotBook: SlotBook;
  readonly jobs: JobStore;
  readonly jobBells: JobBells;
  readonly seenFunctions: SeenFunctions;
  readonly jobRules: JobRules;
  /** Tells the loop that watches over jobs of one that will be due. */
  readonly noteJob: (partition: number, at: number) => void;
  readonly calls: CallBook;
  readonly live: Live;
  readonly bells: Bells;
  readonly box: SecretBox;
  readonly resume: ResumeKeys;
  /** Where the outside reaches the gateway, without a slash at its end; empty where nobody said. */
  readonly publicUrl: () => string;
  readonly rules: Rules;
  readonly log: Logger;
  readonly now: () => number;
  readonly maxValueBytes: number;
  /** Submits that come here directly, gathered as the gateway gathers its own. */
  readonly submit: (item: SubmitItem) => Promise<SubmitResult>;
}
