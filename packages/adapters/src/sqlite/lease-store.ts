import type { LeaseStore } from "@longhaul/core";
import { type Connection, numberAt, textAt } from "./connection.ts";
import { asStoreError } from "./store-error.ts";
import type { Writer } from "./writer.ts";

export const leaseSql = {
  live: "INSERT INTO owners (owner, until) VALUES (?, ?) ON CONFLICT (owner) DO UPDATE SET until = excluded.until",
  renew: "UPDATE leases SET until = ? WHERE owner = ?",
  first: "INSERT INTO leases (part, owner, epoch, until) VALUES (?, ?, 1, ?) ON CONFLICT (part) DO NOTHING",
  take: "UPDATE leases SET owner = ?, epoch = epoch + 1, until = ? WHERE part = ? AND epoch = ?",
  // Without an owner, so that renewing can't revive it; the epoch stays, so that a late taker loses.
  give: "UPDATE leases SET owner = '', until = 0 WHERE part = ? AND owner = ?",
  giveAll: "UPDATE leases SET owner = '', until = 0 WHERE owner = ?",
  leave: "DELETE FROM owners WHERE owner = ?",
  leases: "SELECT part, owner, epoch, until FROM leases ORDER BY part",
  owners: "SELECT owner FROM owners WHERE until > ? ORDER BY owner",
} as const;

export interface LeaseWrites {
  renewLeases(by: { readonly owner: string; readonly until: number }): void;
  takeLease(by: { readonly partition: number; readonly owner: string; readonly epoch: number; readonly until: number }): boolean;
  giveLeases(by: { readonly owner: string; readonly partitions: readonly number[] | "all" }): void;
}

/** What is written of leases, inside a transaction that others share. */
export function leaseWrites(db: Connection): LeaseWrites {
  const live = db.prepare(leaseSql.live);
  const renew = db.prepare(leaseSql.renew);
  const first = db.prepare(leaseSql.first);
  const take = db.prepare(leaseSql.take);
  const give = db.prepare(leaseSql.give);
  const giveAll = db.prepare(leaseSql.giveAll);
  const leave = db.prepare(leaseSql.leave);
  return {
    renewLeases: ({ owner, until }) => {
      live.run([owner, until]);
      renew.run([until, owner]);
    },
    takeLease: ({ partition, owner, epoch, until }) =>
      epoch === 0 ? first.run([partition, owner, until]) > 0 : take.run([owner, until, partition, epoch]) > 0,
    giveLeases: ({ owner, partitions }) => {
      if (partitions === "all") {
        giveAll.run([owner]);
        leave.run([owner]);
        return;
      }
      for (const partition of partitions) give.run([partition, owner]);
    },
  };
}

const rowBytes = 200;

/** LeaseStore on SQLite. */
export function sqliteLeaseStore(db: Connection, writer: Writer): LeaseStore {
  const leases = db.prepare(leaseSql.leases);
  const owners = db.prepare(leaseSql.owners);

  return {
    renew: (owner, until) => writer.write(rowBytes, "renewLeases", { owner, until }),
    list: async (now) => {
      try {
        return {
          leases: leases.all([]).map((row) => ({
            partition: numberAt(row, 0),
            owner: textAt(row, 1),
            epoch: numberAt(row, 2),
            until: numberAt(row, 3),
          })),
          owners: owners.all([now]).map((row) => textAt(row, 0)),
        };
      } catch (error) {
        throw asStoreError(error);
      }
    },
    take: (partition, owner, epoch, until) => writer.write(rowBytes, "takeLease", { partition, owner, epoch, until }),
    give: (owner, partitions) => writer.write(rowBytes, "giveLeases", { owner, partitions }),
  };
}
