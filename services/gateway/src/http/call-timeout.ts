import type { DescMessage, Message } from "@bufbuild/protobuf";
import { isMessage } from "@bufbuild/protobuf";
import { DurationSchema, durationMs } from "@bufbuild/protobuf/wkt";
import { maxWaitSeconds } from "./prefer.ts";

/** How long a call that waits may take in all; undefined (the client's own default) for one that does not wait. */
export function callTimeout(desc: DescMessage, message: Message): number | undefined {
  const field = desc.fields.find((one) => one.name === "wait");
  const wait: unknown = field && Reflect.get(message, field.localName);
  if (!isMessage(wait, DurationSchema)) return undefined;
  return Math.min(Math.max(0, durationMs(wait)), maxWaitSeconds * 1_000) + 10_000;
}
