/** Longer words are cut; nobody types them. */
const maxLetters = 64;

/** The words of a text as the search compares them: lower-case letters and digits, without accents. */
export function wordsOf(text: string): ReadonlySet<string> {
  // Most texts are ASCII, for which this takes a fifth of the time.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it asks for all of ASCII
  if (/^[\x00-\x7f]*$/.test(text)) {
    return new Set(
      text
        .toLowerCase()
        .match(/[a-z0-9]+/g)
        ?.map((word) => word.slice(0, maxLetters)),
    );
  }
  const words = new Set<string>();
  for (const word of text
    .normalize("NFKD")
    .replaceAll(/\p{M}/gu, "")
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)) {
    if (word !== "") words.add(word.slice(0, maxLetters));
  }
  return words;
}

/** Whether there is any word, without looking for all of them. */
export function hasWords(text: string): boolean {
  return /[\p{L}\p{N}]/u.test(text);
}
