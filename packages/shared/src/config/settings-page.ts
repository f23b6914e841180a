import { type ServiceName, type Setting, settings } from "./settings.ts";

const services: readonly ServiceName[] = ["gateway", "scheduler", "executor", "notifier", "solo"];

/** The documentation of every setting: the text of docs/configuration.md. */
export function settingsPage(): string {
  const rows = Object.entries(settings).map(([name, setting]: [string, Setting]) => {
    const readers = setting.services.length === services.length ? "all" : setting.services.join(", ");
    return `| \`${name}\` | ${defaultOf(setting)} | ${readers} | ${setting.about} |`;
  });
  return `# Configuration

Every process reads its settings from the environment, once, at its start; a fault stops it with a sentence for each variable concerned.
An empty variable counts as unset. This page is made from \`packages/shared/src/config/settings.ts\` and a test keeps the two equal:
\`npx vitest run --project unit packages/shared/src/config -u\` writes it anew.

| variable | default | read by | what it is |
| --- | --- | --- | --- |
${rows.join("\n")}
`;
}

function defaultOf(setting: Setting): string {
  switch (setting.kind) {
    case "int":
      return `${setting.or.toLocaleString("en-US", { useGrouping: setting.unit !== "port" })}${setting.unit === "port" ? "" : ` ${setting.unit}`} (${setting.min.toLocaleString("en-US")} to ${setting.max.toLocaleString("en-US", { useGrouping: setting.unit !== "port" })})`;
    case "bool":
      return String(setting.or);
    case "choice":
      return `\`${setting.or}\` (${setting.choices.join(", ")})`;
    case "text":
    case "url":
      return setting.or === undefined ? "" : `\`${setting.or}\``;
    case "list":
    case "cidrs":
    case "secretKeys":
    case "apiKeys":
      return "";
  }
}
