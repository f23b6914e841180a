import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { dirname } from "node:path";
import type { BenchOptions } from "./options.ts";
import { describeProfiles } from "./report/read-profiles.ts";
import { renderReport } from "./report/render-report.ts";
import { type Summary, summarise } from "./report/summary.ts";
import { runBench } from "./run-bench.ts";

export interface BenchResult {
  readonly summary: Summary;
  /** Markdown. */
  readonly report: string;
}

/** Measures, writes the figures to `options.json` if that is set, and answers the report. */
export async function bench(options: BenchOptions, say: (line: string) => void): Promise<BenchResult> {
  const rounds = await runBench(options, say);
  const summary = summarise(rounds);
  const machine = machineLine();
  const report = renderReport(summary, options, machine);
  if (options.json !== undefined) {
    mkdirSync(dirname(options.json), { recursive: true });
    writeFileSync(options.json, `${JSON.stringify({ machine, options, summary, rounds }, null, 2)}\n`);
  }
  return { summary, report: options.profile === undefined ? report : `${report}\n\n${describeProfiles(options.profile)}` };
}

function machineLine(): string {
  const [first] = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${cpus().length} cores (${first?.model.trim() ?? "unknown"}), ${memory} GiB, Node ${process.versions.node}, ${process.platform}`;
}
