import { LonghaulError, type Ticket } from "@longhaul/core";

const token = /^[A-Za-z0-9_-]+$/;

/** Throws `invalid_argument` unless `prefix` is one or more subject tokens. */
export function checkPrefix(prefix: string): string {
  if (prefix.split(".").every((part) => token.test(part))) return prefix;
  throw new LonghaulError("invalid_argument", "the NATS prefix must be dot-separated tokens of letters, digits, - and _");
}

/** Every ticket of every partition. */
export function allTickets(prefix: string): string {
  return `${prefix}.tickets.>`;
}

export function ticketsOf(prefix: string, partition: number): string {
  return `${prefix}.tickets.${partition}.*`;
}

/** One subject per task, so that the stream itself refuses a second ticket of a task. */
export function ticketSubject(prefix: string, partition: number, taskId: string): string {
  if (!token.test(taskId)) throw new LonghaulError("invalid_argument", "a task id in a ticket must be letters, digits, - and _");
  return `${prefix}.tickets.${partition}.${taskId}`;
}

/** Partition of a ticket's subject, or -1. */
export function partitionOf(prefix: string, subject: string): number {
  const from = prefix.length + ".tickets.".length;
  const partition = Number(subject.slice(from, subject.indexOf(".", from)));
  return Number.isInteger(partition) ? partition : -1;
}

/** `<attempt> <alone> <project>`; the task's id is in the subject. */
export function encodeTicket(ticket: Ticket): string {
  return `${ticket.attempt} ${ticket.alone ? 1 : 0} ${ticket.project}`;
}

const body = /^(\d{1,15}) ([01]) (.+)$/s;

/** Undefined for what no scheduler of this version can have sent. */
export function decodeTicket(subject: string, text: string): Ticket | undefined {
  const found = body.exec(text);
  const taskId = subject.slice(subject.lastIndexOf(".") + 1);
  if (!found?.[1] || !found[3] || taskId === "") return undefined;
  return { project: found[3], taskId, attempt: Number(found[1]), alone: found[2] === "1" };
}
