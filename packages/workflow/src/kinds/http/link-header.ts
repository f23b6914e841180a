/**
 * The targets of a `Link` header (RFC 8288) by their relation, such as `{ next: "/items?page=2" }`. Of several with one relation the first
 * counts; what cannot be read is left out.
 */
export function linksOf(header: string | undefined): Readonly<Record<string, string>> {
  const links = new Map<string, string>();
  for (const [, target, parameters] of (header ?? "").slice(0, maxLength).matchAll(/<([^<>]*)>((?:[^",<]|"[^"]*")*)/g)) {
    const relations = /;\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))/i.exec(parameters ?? "");
    for (const relation of (relations?.[1] ?? relations?.[2] ?? "").toLowerCase().split(/\s+/)) {
      if (relation !== "" && target !== undefined && !links.has(relation)) links.set(relation, target);
    }
  }
  return Object.fromEntries(links);
}

const maxLength = 16_384;
