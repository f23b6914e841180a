import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  acceptTask,
  type FieldFault,
  LonghaulError,
  type ParentLink,
  partitionOf,
  type QueuedTask,
  type Rules,
  type Submission,
  searchedText,
  type TaskId,
} from "@longhaul/core";
import type { SubmitItem } from "@longhaul/proto/intake_service";
import type { SecretBox } from "@longhaul/shared";
import type { Dispatcher } from "../loops/dispatcher.ts";
import type { Runnable } from "../workflows/catalog.ts";
import { checkLabelsAndPriority, checkWebhook } from "./check-submission.ts";
import { type PayloadWriter, textOf } from "./payloads.ts";

export interface PrepareDeps {
  readonly dispatcher: Pick<Dispatcher, "reserve">;
  readonly box: SecretBox;
  readonly rules: Rules;
  readonly now: () => number;
  /** Largest single value, in bytes of JSON. */
  readonly maxValueBytes: number;
}

/** What a task is made of. */
export interface Prepared {
  readonly id: TaskId;
  readonly item: SubmitItem;
  /** Set with an idempotency key. */
  readonly bodyHash?: string | undefined;
  /** For a task that a node of another one starts; with it its depth. */
  readonly parent?: ParentLink;
  readonly depth?: number;
  /** What `LimitSettings.keysOf` says. */
  readonly limitKeys?: readonly string[] | undefined;
}

const dayMs = 86_400_000;
/** Times beyond the year 9999 can't be written in RFC 3339. */
const latestTime = 253_402_300_799_000;

/**
 * The first form of a task, with every check of its submit made; its input, if large, is handed to `writer`. Throws what the submit is refused
 * with. Room for a ticket is reserved where the task says that it has one.
 */
export function prepareTask(
  deps: PrepareDeps,
  one: Prepared,
  { head, revision, compiled, checksInput }: Runnable,
  writer: PayloadWriter,
): QueuedTask {
  const { item } = one;
  const now = deps.now();
  if (!head.enabled)
    throw new LonghaulError(
      "conflict",
      `Workflow "${head.name}" is disabled and takes no new tasks; POST /v1/workflows/${head.name}:enable lets it take them again.`,
    );
  const faults: FieldFault[] = [...checkLabelsAndPriority(item.labels, item.priority)];

  const json = item.inputJson.byteLength === 0 ? "null" : textOf(item.inputJson);
  if (item.inputJson.byteLength > deps.maxValueBytes) {
    throw new LonghaulError(
      "too_large",
      `The input has ${item.inputJson.byteLength} bytes; at most ${deps.maxValueBytes} are allowed.`,
    );
  }
  const own = item.deadline === undefined ? Number.POSITIVE_INFINITY : timestampMs(item.deadline);
  const notBefore = item.notBefore === undefined ? undefined : timestampMs(item.notBefore);
  const begin = Math.max(now, notBefore ?? 0);
  const deadline = Math.min(own, begin + (compiled.limits.deadlineMs ?? dayMs));
  if (!(own > now)) faults.push({ pointer: "/deadline", message: "The deadline has passed already." });
  if (notBefore !== undefined && !(notBefore < own && notBefore < latestTime)) {
    faults.push({ pointer: "/notBefore", message: "The start time is not before the deadline." });
  }
  const webhook = item.webhook === undefined ? undefined : checkWebhook(item.webhook, deps.box);
  if (webhook !== undefined) faults.push(...webhook.faults);
  if (faults.length > 0)
    throw new LonghaulError("invalid_argument", faults[0]?.message ?? "The request is not valid.", { faults });

  if (checksInput) {
    const wrong = compiled.validateInput(JSON.parse(json));
    if (wrong.length > 0) {
      throw new LonghaulError("invalid_input", `The input does not fit the workflow's schema: ${wrong[0]?.message ?? ""}`, {
        faults: wrong,
      });
    }
  }

  const submission: Submission = {
    id: one.id,
    project: item.project,
    workflow: head.name,
    revision: revision.revision,
    input: writer.add(json, `${one.id}/input`),
    text: searchedText(json),
    labels: { ...item.labels },
    priority: item.priority,
    deadline,
    ...(notBefore === undefined ? {} : { notBefore }),
    ...(webhook?.target === undefined ? {} : { webhook: webhook.target }),
    ...(one.bodyHash === undefined ? {} : { bodyHash: one.bodyHash }),
    ...(one.parent === undefined ? {} : { parent: one.parent }),
    ...(one.depth === undefined ? {} : { depth: one.depth }),
    ...(one.limitKeys === undefined ? {} : { limitKeys: one.limitKeys }),
  };
  const hasTicket = !(notBefore !== undefined && notBefore > now) && one.limitKeys === undefined;
  return acceptTask(submission, now, hasTicket && deps.dispatcher.reserve(partitionOf(item.project)), deps.rules);
}
