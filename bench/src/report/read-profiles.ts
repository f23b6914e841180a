import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { markdownTable, shown } from "./markdown-table.ts";

interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** What cost most in every CPU profile of a folder: self time by function and by package, in Markdown. */
export function describeProfiles(dir: string, count = 15): string {
  const files = readdirSync(dir).filter((name) => name.endsWith(".cpuprofile"));
  return files.map((file) => describeProfile(file, JSON.parse(readFileSync(join(dir, file), "utf8")), count)).join("\n\n");
}

function describeProfile(file: string, profile: Profile, count: number): string {
  const frames = new Map(profile.nodes.map((node) => [node.id, node.callFrame]));
  const byFunction = new Map<string, number>();
  const byPackage = new Map<string, number>();
  let busy = 0;
  profile.samples.forEach((id, at) => {
    const frame = frames.get(id);
    if (frame === undefined || frame.functionName === "(idle)") return;
    const micros = profile.timeDeltas[at] ?? 0;
    busy += micros;
    const place = placeOf(frame.url);
    add(byPackage, place.package, micros);
    add(byFunction, `${frame.functionName || "(anonymous)"} ${place.file}:${frame.lineNumber + 1}`, micros);
  });
  const rows = (map: ReadonlyMap<string, number>): string[][] =>
    [...map]
      .toSorted((a, b) => b[1] - a[1])
      .slice(0, count)
      .map(([name, micros]) => [name.replaceAll("|", "\\|"), `${shown((micros / busy) * 100, 1)} %`, shown(micros / 1_000)]);
  const head = ["self", "ms"];
  return [
    `### ${file}: ${shown(busy / 1_000)} ms busy`,
    markdownTable(["Function", ...head], rows(byFunction)),
    markdownTable(["Package", ...head], rows(byPackage)),
  ].join("\n\n");
}

function add(map: Map<string, number>, key: string, value: number): void {
  map.set(key, (map.get(key) ?? 0) + value);
}

/** `node_modules/<name>` or a workspace's folder, and the file in it. */
function placeOf(url: string): { readonly package: string; readonly file: string } {
  if (url === "") return { package: "(V8: garbage collector, native code)", file: "" };
  if (url.startsWith("node:")) return { package: url.startsWith("node:internal") ? "node:internal" : url, file: url };
  const dependency = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\/(.*)$/.exec(url);
  if (dependency) return { package: dependency[1] ?? "", file: `${dependency[1]}/${dependency[2]}` };
  const own = /\/((?:packages|services|bench)(?:\/[^/]+)?|proto)\/(?:dist|src|gen)\/(.*)$/.exec(url);
  return own ? { package: own[1] ?? "", file: `${own[1]}/${own[2]}` } : { package: url, file: url };
}
