import { expect, test } from "vitest";
import { checkPrefix, decodeTicket, encodeTicket, partitionOf, ticketSubject } from "./ticket-wire.ts";

test("a ticket is read as it was written", () => {
  for (const project of ["default", "two words", "1 0 trap", "line\nbreak", "ü\u{1f600}"]) {
    const ticket = { project, taskId: "0197a000-0000-7000-8000-000000000001", attempt: 12, alone: true };
    const subject = ticketSubject("lh.test", 63, ticket.taskId);
    expect(subject).toBe("lh.test.tickets.63.0197a000-0000-7000-8000-000000000001");
    expect(partitionOf("lh.test", subject)).toBe(63);
    expect(decodeTicket(subject, encodeTicket(ticket))).toEqual(ticket);
  }
});

test("what no scheduler wrote is no ticket", () => {
  for (const text of [
    "",
    " ",
    "1",
    "1 0",
    "1 0 ",
    "-1 0 p",
    "1 2 p",
    "x 0 p",
    '{"attempt":1}',
    "9".repeat(40),
    `${"9".repeat(40)} 0 p`,
  ]) {
    expect(decodeTicket("lh.tickets.1.t", text)).toBeUndefined();
  }
  expect(decodeTicket("lh.tickets.1.", "1 0 p")).toBeUndefined();
  expect(partitionOf("lh", "lh.tickets.nonsense.t")).toBe(-1);
});

test("a prefix that is no subject is refused", () => {
  for (const bad of ["", ".", "a.", "a b", "*", ">", "$JS"]) expect(() => checkPrefix(bad)).toThrow("dot-separated");
});
