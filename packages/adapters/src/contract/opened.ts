/** A fresh, empty store and what gives it back. */
export interface Opened<Store> {
  readonly store: Store;
  close(): Promise<void>;
}

/** Opens a store that holds nothing yet; called once per test. */
export type Open<Store> = () => Promise<Opened<Store>>;

/** Runs `body` with a fresh store and gives it back whatever happens. */
export async function withStore<Store>(open: Open<Store>, body: (store: Store) => Promise<void>): Promise<void> {
  const { store, close } = await open();
  try {
    await body(store);
  } finally {
    await close();
  }
}

/** Strings that break careless stores: quoting, operators, paths, prototypes, code points of every size, control characters. */
export const hostileStrings: readonly string[] = [
  "'; DROP TABLE tasks; --",
  '"quoted" \\ back\\slash',
  "$set",
  "$where",
  "a.b.c",
  "..",
  "__proto__",
  "constructor",
  "toString",
  "{}[]*?%_:",
  "line\nbreak\ttab\r",
  "\u0001\u001f\u007f",
  "before\u0000after",
  "émoji 👩‍👩‍👧‍👦 𝒳 ß ﷽",
  "\u202eright to left\u2066",
  "\ufeff\uffff",
  "0",
  "-0",
  "null",
  "x".repeat(4_096),
];

/** A record with each hostile string as a key, `__proto__` included, which an object literal can't hold. */
export function hostileRecord(): Record<string, string> {
  return Object.fromEntries(hostileStrings.filter((text) => !text.includes("\u0000")).map((text) => [text, text]));
}
