// C0 and C1 control characters, DEL, and what turns the direction of writing: a terminal acts on them.
const unsafe = /[\p{Cc}\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu;

/** Text from elsewhere in a form that a terminal shows and does not obey. Line breaks stay where `lines` is set. */
export function cleanText(text: string, { lines = false }: { readonly lines?: boolean } = {}): string {
  return text.replace(unsafe, (one) => (lines && one === "\n" ? one : escaped(one)));
}

/** The same for JSON text, which stays the same JSON. */
export function cleanJson(text: string): string {
  return text.replace(unsafe, (one) => (one === "\n" ? one : `\\u${codeOf(one)}`));
}

function escaped(one: string): string {
  if (one === "\n") return "\\n";
  if (one === "\t") return " ";
  return `\\u${codeOf(one)}`;
}

function codeOf(one: string): string {
  return (one.codePointAt(0) ?? 0).toString(16).padStart(4, "0");
}
