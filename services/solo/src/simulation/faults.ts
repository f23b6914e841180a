import { LonghaulError } from "@longhaul/core";
import type { SimulatedProcess, SimulatedTime } from "./simulated-time.ts";

/** How much goes wrong; probabilities of a call. All 0 is a quiet world. */
export interface FaultRates {
  /** It never arrives. */
  before: number;
  /** It is carried out, and nobody hears of it. */
  after: number;
  /** It takes long. */
  slow: number;
  /** It arrives twice. */
  twice: number;
}

export const quietRates: FaultRates = { before: 0, after: 0, slow: 0, twice: 0 };

/** Told of every crossing of a process, before anything has happened and again when it has and nobody heard of it; may end the process there. */
export type OnCrossing = (from: SimulatedProcess, name: string, side: "before" | "after") => void;

/** What crosses from one process to something outside it, and may go wrong on the way. */
export interface Faults {
  readonly time: SimulatedTime;
  readonly random: () => number;
  rates: FaultRates;
  onCrossing: OnCrossing;
  /** Notes what happened, for comparing two runs of one seed. */
  note(line: string): void;
  /**
   * Carries out `act` for a process after a while. The answer comes after another while; to a dead process none comes, to a frozen one
   * when it goes on. Rejects with `unavailable` when the call is lost on its way there or back.
   */
  cross<T>(from: SimulatedProcess, name: string, act: () => Promise<T>): Promise<T>;
  /** The object with every method crossing. */
  wrap<T extends object>(from: SimulatedProcess, name: string, target: T): T;
}

export function faultsOf(time: SimulatedTime, random: () => number, note: (line: string) => void): Faults {
  const never = new Promise<never>(() => {});

  const self: Faults = {
    time,
    random,
    rates: quietRates,
    onCrossing: () => {},
    note,

    async cross<T>(from: SimulatedProcess, name: string, act: () => Promise<T>): Promise<T> {
      if (!from.dead) self.onCrossing(from, name, "before");
      if (from.dead) return never;
      const { rates } = self;
      const chance = random();
      const isSlow = random() < rates.slow;
      const isTwice = random() < rates.twice;
      const pace = isSlow ? 1_500 : 4;
      const there = random() * pace;
      const back = random() * pace;
      const unavailable = (): LonghaulError => new LonghaulError("unavailable", `${name}: the line is broken`);
      await time.wait(there);
      let result: { readonly value: T } | { readonly why: unknown };
      if (chance < rates.before) result = { why: unavailable() };
      else {
        try {
          if (isTwice) await time.as(undefined, act);
          result = { value: await time.as(undefined, act) };
        } catch (why) {
          result = { why };
        }
        if (chance < rates.before + rates.after) result = { why: unavailable() };
        if (!from.dead) self.onCrossing(from, name, "after");
      }
      await time.wait(back);
      while (from.frozenUntil > time.now()) await time.wait(from.frozenUntil - time.now());
      if (from.dead) return never;
      self.note(`${time.now()} ${from.name} ${name} ${"why" in result ? "failed" : "ok"}`);
      if ("why" in result) throw result.why;
      return result.value;
    },

    wrap: <T extends object>(from: SimulatedProcess, name: string, target: T): T =>
      new Proxy(target, {
        get(object, key) {
          const member: unknown = Reflect.get(object, key);
          if (typeof member !== "function") return member;
          return (...args: unknown[]) =>
            self.cross(from, `${name}.${String(key)}`, async () => Reflect.apply(member, object, args));
        },
      }),
  };
  return self;
}
