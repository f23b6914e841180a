import { beforeAll, expect, test } from "vitest";
import { type CrashPoint, type RunEnd, runWithCrash } from "./crash-points.ts";
import { tour } from "./simulated-workflows.ts";

// By default an even spread over every kind of crossing; LONGHAUL_CRASH_POINTS=all takes every one, =500 about so many, =at:137 only number 137.
const wanted = process.env["LONGHAUL_CRASH_POINTS"] ?? "60";
const parts = 4;

let clean: RunEnd;
beforeAll(async () => {
  clean = await runWithCrash();
  const { length } = chosen(clean.points);
  process.stdout.write(
    `crash points: ${length} of ${clean.points.length}; LONGHAUL_CRASH_POINTS=all takes every one, at:137 only number 137\n`,
  );
}, 60_000);

/** At least one of each kind of crossing, and of each as many as of the others as long as it has them, evenly over the run. */
function chosen(points: readonly CrashPoint[]): readonly CrashPoint[] {
  if (wanted === "all") return points;
  if (wanted.startsWith("at:")) return points.filter(({ at }) => at === Number(wanted.slice(3)));
  const kinds = new Map<string, CrashPoint[]>();
  for (const point of points) {
    const kind = `${point.process.split("-")[0]} ${point.crossing} ${point.side}`;
    kinds.set(kind, [...(kinds.get(kind) ?? []), point]);
  }
  const sizes = [...kinds.values()].map(({ length }) => length);
  let each = 1;
  while (sizes.reduce((sum, size) => sum + Math.min(size, each + 1), 0) <= Number(wanted) && each < points.length) each++;
  return [...kinds.values()].flatMap((kind) => {
    const step = Math.max(1, kind.length / each);
    return Array.from({ length: Math.min(kind.length, each) }, (_, i) => kind[Math.floor((i + 0.5) * step)] ?? kind[0]).filter(
      (point) => point !== undefined,
    );
  });
}

test("without a crash everything is gone through once, and ends as it must", async () => {
  expect(clean.broken).toEqual([]);
  const states = clean.tasks.map(({ workflow, state }) => `${workflow} ${state}`).sort();
  expect(states).toEqual(["doomed cancelled", "idle cancelled", "kid succeeded", "kid succeeded", "tour succeeded"]);
  const whole = clean.tasks.find(({ workflow }) => workflow === tour.name);
  expect(whole).toMatchObject({ output: { json: JSON.stringify({ n: tour.out(21) }) }, delivery: "delivered" });
  expect(new Set(whole?.runs.map(({ kind }) => kind))).toEqual(
    new Set(["http", "transform", "wait", "signal", "approval", "foreach", "workflow"]),
  );
  for (const place of tour.calls ?? []) expect(clean.operations.map(([name]) => name)).toContain(`${whole?.id}/${place}`);
  // A flaky service answers the second call; nothing else is called twice.
  expect([...clean.calls.values()].filter((calls) => calls !== 1)).toEqual([2, 2]);
  const kinds = new Set(clean.points.map(({ process, crossing }) => `${process.split("-")[0]} ${crossing}`));
  for (const kind of ["scheduler tasks.replace", "scheduler publish", "scheduler live", "executor outside", "executor ack"])
    expect(kinds).toContain(kind);
});

test.each(Array.from({ length: parts }, (_, part) => part))(
  "whoever dies at whichever crossing, all ends as without (part %i)",
  { timeout: Number.isNaN(Number(wanted)) ? 3_600_000 : Math.max(240_000, 1_000 * Number(wanted)) },
  async (part) => {
    const mine = chosen(clean.points).filter((_, i) => i % parts === part);
    for (const point of mine) {
      const run = await runWithCrash(point.at);
      const about = `LONGHAUL_CRASH_POINTS=at:${point.at} replays it: ${point.process} dies ${point.side} ${point.crossing}`;
      expect(run.points.slice(0, point.at + 1), about).toEqual(clean.points.slice(0, point.at + 1));
      expect({ ...run, points: [], calls: new Map() }, about).toEqual({ ...clean, points: [], calls: new Map() });
      // Called again is only what was under way in an executor that died, and once.
      const more = point.process.startsWith("executor") ? 1 : 0;
      const tooOften = [...run.calls].filter(([key, calls]) => calls > (clean.calls.get(key) ?? 0) + more);
      expect(tooOften, about).toEqual([]);
    }
  },
);
