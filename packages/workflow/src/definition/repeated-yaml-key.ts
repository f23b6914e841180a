import { type Document, isScalar, type ParsedNode, visit } from "yaml";

/** A key that a map has twice, and where: the offset of the second one in the text. */
export interface RepeatedKey {
  readonly name: string;
  readonly offset: number;
}

/**
 * The first key that a map of the document has twice. The parser's own check (`uniqueKeys`) compares every key with every other: a map of
 * 80,000 keys takes it minutes, so it must be off.
 */
export function repeatedYamlKey(document: Document.Parsed<ParsedNode> | Document): RepeatedKey | undefined {
  let found: RepeatedKey | undefined;
  visit(document, {
    Map(_key, { items }) {
      const seen = new Set<unknown>();
      for (const { key } of items) {
        if (!isScalar(key)) continue;
        const name = String(key.value);
        if (seen.has(name)) {
          found = { name: name.slice(0, 120), offset: key.range?.[0] ?? 0 };
          return visit.BREAK;
        }
        seen.add(name);
      }
      return undefined;
    },
  });
  return found;
}
