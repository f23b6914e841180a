import type { Mongo } from "./connection.ts";

/** The primary's clock, in milliseconds since the epoch. */
export async function readNow(mongo: Mongo): Promise<number> {
  const reply = await mongo.command({ hello: 1 });
  const time: unknown = reply["localTime"];
  return time instanceof Date ? time.getTime() : Date.now();
}
