import { bench } from "./bench.ts";
import { readOptions, usage } from "./options.ts";

/** Runs the bench as `npm run bench` does: progress on stderr, the report on stdout. Rejects when something did not work; slow is not wrong. */
export async function main(args: readonly string[], jsonByDefault: string): Promise<void> {
  if (args.includes("--help")) {
    process.stdout.write(usage);
    return;
  }
  const options = readOptions(args);
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const { report } = await bench({ ...options, json: options.json ?? jsonByDefault }, say);
  process.stdout.write(`${report}\n`);
}
