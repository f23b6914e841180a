/** A shorter value is not looked for: it would be found in too much that has nothing to do with it. */
export const leastSecretLength = 6;
const leastLineLength = 12;
const escapeLevels = 3;

/**
 * The texts that give a secret's value away, the longest first: itself, and how it looks in JSON, in URLs and in base64, there also in the middle
 * of something else. Lines of a value with several lines count as well, because others show text by lines. Empty for a value under six characters.
 */
export function secretForms(value: string): readonly string[] {
  const trimmed = value.trim();
  const lines = trimmed.split(/\r?\n/);
  const texts = [value, trimmed, ...(lines.length > 1 ? lines.filter((line) => line.length >= leastLineLength) : [])];
  const forms = new Set(texts.filter((text) => text.length >= leastSecretLength).flatMap(formsOf));
  return [...forms].sort((a, b) => b.length - a.length);
}

function formsOf(text: string): readonly string[] {
  const bytes = Buffer.from(text);
  // Without halves of characters, which can't be written in a URL.
  const whole = bytes.toString();
  const component = encodeURIComponent(whole);
  const strict = component.replaceAll(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
  const form = new URLSearchParams([["", text]]).toString().slice(1);
  const inUrls = [component, strict, form, encodeURI(whole)];
  return [text, ...escapedForms(text), ...inUrls, ...inUrls.map(lowerHex), ...base64Forms(bytes)];
}

/** In JSON, in JSON within JSON, and so on. */
function escapedForms(text: string): readonly string[] {
  const forms: string[] = [];
  let last = text;
  for (let level = 0; level < escapeLevels; level++) {
    last = JSON.stringify(last).slice(1, -1);
    forms.push(last, last.replaceAll("/", "\\/"));
  }
  return forms;
}

function lowerHex(text: string): string {
  return text.replaceAll(/%[0-9A-F]{2}/g, (code) => code.toLowerCase());
}

/**
 * Base64 takes three bytes at a time: where a value stands in the middle of something (`user:password`), the characters that depend on it alone are
 * one of three texts.
 */
function base64Forms(bytes: Buffer): readonly string[] {
  const forms = [0, 1, 2].map((shift) => {
    const whole = Buffer.concat([Buffer.alloc(shift), bytes]).toString("base64");
    return whole.slice(Math.ceil((shift * 8) / 6), Math.floor(((shift + bytes.length) * 8) / 6));
  });
  const inHex = bytes.toString("hex");
  return [...forms, ...forms.map((form) => form.replaceAll("+", "-").replaceAll("/", "_")), inHex, inHex.toUpperCase()];
}
