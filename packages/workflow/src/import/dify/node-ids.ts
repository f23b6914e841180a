import { isIdentifier } from "./template-text.ts";

const maxLength = 60;

/** Gives every node an id that reads well in expressions: from its title, else from its type, and unique. */
export function nodeIds(
  nodes: readonly { readonly id: string; readonly title: string; readonly type: string }[],
): ReadonlyMap<string, string> {
  const taken = new Set<string>();
  const ids = new Map<string, string>();
  for (const { id, title, type } of nodes) {
    const base = identifierOf(title) ?? identifierOf(type) ?? "node";
    ids.set(id, uniqueName(base, taken));
  }
  return ids;
}

/** The name, or the name and a number; takes it. */
export function uniqueName(base: string, taken: Set<string>): string {
  let name = base;
  for (let count = 2; taken.has(name); count++) name = `${base}_${count}`;
  taken.add(name);
  return name;
}

/** Letters, digits and `_` of a text, as a name that expressions can use; undefined where nothing of that is left. */
export function identifierOf(text: string): string | undefined {
  const words = text
    .normalize("NFKD")
    .replaceAll(/\p{M}/gu, "")
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== "");
  const name = words.join("_").slice(0, maxLength).replace(/_+$/, "");
  if (name === "" || !/[a-z]/.test(name)) return undefined;
  const safe = /^\d/.test(name) ? `n${name}` : name;
  return isIdentifier(safe) ? safe : `${safe}_`;
}

/** A name for the workflow: at most 128 letters, digits, `-`. */
export function workflowName(title: string): string {
  const name = (identifierOf(title) ?? "dify-app").replaceAll("_", "-").replace(/-+$/, "");
  return ["run", "logs", "tasks"].includes(name) ? `${name}-workflow` : name;
}
