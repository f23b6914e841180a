import type { DeliveryStore } from "@longhaul/core";
import type { Sender } from "../delivery/sender.ts";

/** What the methods of the notifier's services share. */
export interface NotifierRpcDeps {
  readonly store: DeliveryStore;
  readonly sender: Sender;
  /** The database's clock, in milliseconds since the epoch. */
  readonly now: () => number;
}
