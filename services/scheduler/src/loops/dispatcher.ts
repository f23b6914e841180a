import {
  type Live,
  partitionCount,
  partitionSubject,
  type TaskId,
  type TaskStore,
  type Ticket,
  type TicketOutlet,
} from "@longhaul/core";
import type { Logger } from "@longhaul/shared";
import type { Ledger } from "../ledger/ledger.ts";

/** Decides which tasks have tickets out. Priority and order are decided here, in the store's backlog, and not by what lies in the broker. */
export interface Dispatcher {
  /** Asks for room for a new task's ticket. Room is given only when nothing waits before it. */
  reserve(partition: number): boolean;
  /** Gives back room that was not used. */
  unreserve(partition: number): void;
  /** Publishes tickets of tasks that are durably stored as ticketed. */
  publish(partition: number, tickets: readonly Ticket[]): void;
  /** Tickets were claimed or refused, so there is room again. */
  claimed(partition: number, count: number): void;
  /** Something joined the backlog of a partition, here or elsewhere. */
  ring(partition: number): void;
  /** The partitions that this process looks after, from now on. */
  own(partitions: ReadonlySet<number>): void;
  /** Compares the books with the broker and looks into every backlog; the safety net behind the bells. */
  check(): Promise<void>;
  /** Resolves when no refill is under way. */
  idle(): Promise<void>;
}

interface Book {
  owned: boolean;
  /** Tickets thought to be out: those published less those claimed through this process. */
  out: number;
  /** The last look found nothing waiting, and no bell has rung since. */
  empty: boolean;
  /** A bell rang during the look that is under way. */
  rung: boolean;
  refilling: Promise<void> | undefined;
  /** Tickets that the broker had no room for, by task, in their order: until they are out nothing may go out behind them. */
  readonly late: Map<TaskId, Ticket>;
  again: NodeJS.Timeout | undefined;
}

const refillBatch = 256;
/**
 * The broker counts a ticket until it is acknowledged, a moment after its claim made room here. So "full" mostly means: in a moment.
 */
const firstLateMs = 5;
const longestLateMs = 1_000;

const newBook = (): Book => ({
  owned: false,
  out: 0,
  empty: false,
  rung: false,
  refilling: undefined,
  late: new Map(),
  again: undefined,
});

export function dispatcher(deps: {
  readonly store: TaskStore;
  readonly outlet: TicketOutlet;
  readonly live: Live;
  readonly log: Logger;
  readonly window: number;
  /** Late, because ledger and dispatcher need each other. */
  readonly ledger: () => Ledger;
}): Dispatcher {
  const { store, outlet, live, log, window } = deps;
  const books: Book[] = Array.from({ length: partitionCount }, newBook);
  const none = newBook();
  const bookOf = (partition: number): Book => books[partition] ?? none;

  async function refill(partition: number, book: Book): Promise<void> {
    while (book.owned && !book.empty && book.late.size === 0 && book.out < window) {
      book.rung = false;
      const limit = Math.min(refillBatch, window - book.out);
      const waiting = await store.listBacklog(partition, limit);
      if (waiting.length < limit && !book.rung) book.empty = true;
      book.out += waiting.length;
      const outcomes = await deps
        .ledger()
        .apply(waiting.map(({ task }) => ({ key: { project: task.project, id: task.id }, event: { kind: "ticket" as const } })));
      book.out -= outcomes.filter((outcome) => outcome.kind !== "changed").length;
    }
  }

  function startRefill(partition: number): void {
    const book = bookOf(partition);
    if (!book.owned || book.refilling !== undefined || book.empty || book.late.size > 0 || book.out >= window) return;
    book.refilling = refill(partition, book)
      .catch((why: unknown) => {
        log.warn({ partition, err: why }, "backlog not read; the next check tries again");
      })
      .finally(() => {
        book.refilling = undefined;
      });
  }

  function send(partition: number, book: Book, tickets: readonly Ticket[], lateMs: number): void {
    outlet
      .publish(partition, tickets)
      .then((results) => {
        let refused = 0;
        tickets.forEach((ticket, i) => {
          if (results[i] === "full") book.late.set(ticket.taskId, ticket);
          else {
            book.late.delete(ticket.taskId);
            if (results[i] !== "published") refused++;
          }
        });
        book.out = Math.max(0, book.out - refused);
      })
      .catch((why: unknown) => {
        for (const { taskId } of tickets) book.late.delete(taskId);
        book.out = Math.max(0, book.out - tickets.length);
        log.warn({ partition, tickets: tickets.length, err: why }, "tickets not published; their second look will");
      })
      .finally(() => {
        if (book.late.size > 0) sendLateSoon(partition, book, lateMs);
        else startRefill(partition);
      });
  }

  /** What is late goes out first, together and in order. */
  function sendLateSoon(partition: number, book: Book, lateMs: number): void {
    if (book.again !== undefined) return;
    book.again = setTimeout(() => {
      book.again = undefined;
      if (book.late.size > 0) send(partition, book, [...book.late.values()], Math.min(longestLateMs, lateMs * 2));
    }, lateMs);
    // Without it they have their second look.
    book.again.unref();
  }

  return {
    reserve(partition) {
      const book = bookOf(partition);
      if (!book.owned || !book.empty || book.late.size > 0 || book.out >= window) return false;
      book.out++;
      return true;
    },

    unreserve(partition) {
      const book = bookOf(partition);
      book.out = Math.max(0, book.out - 1);
    },

    publish(partition, tickets) {
      const book = bookOf(partition);
      if (book.late.size > 0) for (const ticket of tickets) book.late.set(ticket.taskId, ticket);
      else send(partition, book, tickets, firstLateMs);
    },

    claimed(partition, count) {
      const book = bookOf(partition);
      book.out = Math.max(0, book.out - count);
      startRefill(partition);
    },

    ring(partition) {
      const book = bookOf(partition);
      if (!book.owned) {
        live.publish(partitionSubject(partition), {});
        return;
      }
      book.empty = false;
      book.rung = true;
      startRefill(partition);
    },

    own(partitions) {
      books.forEach((book, partition) => {
        const owned = partitions.has(partition);
        if (owned === book.owned) return;
        book.owned = owned;
        book.out = 0;
        // Whoever looks after them now finds them by their second look.
        book.late.clear();
        book.empty = false;
        if (owned) startRefill(partition);
      });
    },

    async check() {
      const owned = books.flatMap((book, partition) => (book.owned ? [partition] : []));
      const doubtful = owned.filter((partition) => bookOf(partition).out > 0);
      if (doubtful.length > 0) {
        const before = doubtful.map((partition) => bookOf(partition).out);
        const counts = await outlet.unclaimed(doubtful);
        doubtful.forEach((partition, i) => {
          const book = bookOf(partition);
          // What moved while we asked is newer than the answer.
          if (book.out === before[i]) book.out = (counts.get(partition) ?? 0) + book.late.size;
        });
      }
      for (const partition of owned) {
        const book = bookOf(partition);
        if (book.empty && (await store.listBacklog(partition, 1)).length > 0) book.empty = false;
        startRefill(partition);
      }
    },

    async idle() {
      await Promise.all(books.map((book) => book.refilling));
    },
  };
}
