import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { stringify } from "yaml";
import { exits } from "../cli-error.ts";
import { at, type Json, listAt, textAt } from "../client/json.ts";
import { faultText } from "../client/problem-text.ts";
import { readText } from "../input/read-value.ts";
import { cleanText } from "../output/clean-text.ts";
import type { Start } from "../session.ts";
import { mediaTypeOf } from "./deploy.ts";

export function importCommand(start: Start): CommandUnknownOpts {
  return new Command("import").description("turn a workflow of another system into a definition").addCommand(
    new Command("dify")
      .description(
        "print an app exported from Dify as a definition, and report on standard error what became of it; exit code 3 when something was lost",
      )
      .argument("<file>", "the exported file, YAML or JSON (.json); - for standard input")
      .action((file) =>
        start(async ({ world, api, show }) => {
          const raw = { text: await readText(world, file), type: mediaTypeOf(file) };
          const answer = await api.call("POST", "/v1/workflows:importDify", { raw, isRepeatable: true });
          const definition = at(answer, "definition") ?? null;
          show.result(definition, () => cleanText(stringify(definition), { lines: true }));
          show.note(reportText(answer));
          return at(answer, "report", "complete") === true && at(answer, "valid") === true ? exits.ok : exits.incomplete;
        }),
      ),
  );
}

function reportText(answer: Json): string {
  const report = at(answer, "report");
  const nodes = listAt(report, "nodes");
  const lines = [`${textAt(report, "app")} (DSL ${textAt(report, "version")}): ${nodes.length} nodes`];
  for (const node of nodes) {
    const name = `${textAt(node, "title")} (${textAt(node, "type")})`;
    const path = textAt(node, "node");
    lines.push(`  ${name}${path === "" ? ": became no node" : ` -> ${path}`}`, ...remarks(node, "    "));
  }
  lines.push(...remarks(report, "  "));
  const secrets = listAt(report, "secrets");
  if (secrets.length > 0) lines.push(`set the secrets ${secrets.join(", ")} before it runs: longhaul secrets put NAME`);
  const faults = listAt(answer, "errors");
  if (faults.length > 0) lines.push("the definition has faults:", ...faults.map(faultText));
  lines.push(at(report, "complete") === true ? "nothing was lost" : "something was lost: see above");
  return lines.join("\n");
}

function remarks(of: Json | undefined, indent: string): string[] {
  return ["changed", "lost"].flatMap((kind) =>
    listAt(of, kind).map((one) => {
      const mend = textAt(one, "mend");
      return `${indent}${kind}: ${textAt(one, "what")}: ${textAt(one, "reason")}${mend === "" ? "" : `\n${indent}  ${mend}`}`;
    }),
  );
}
