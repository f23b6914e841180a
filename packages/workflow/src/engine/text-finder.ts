/** How many characters of a text are looked at together; nothing shorter is looked for. */
const window = 6;
const base = 0x01000193;
const top = Array.from({ length: window - 1 }).reduce<number>((power) => Math.imul(power, base), 1);

/**
 * Finds any of many texts in one pass, so that a long text costs about the same however many are looked for, and whatever both say. A text counts
 * as found where its beginning stands: as many characters of it as the largest of `steps` that it has.
 */
export class TextFinder {
  /** What is looked for, by the beginning that it is found by. */
  private readonly byHead = new Map<string, string[]>();
  private readonly steps: readonly number[];
  // Says for most places at once that nothing begins there.
  private readonly marks = new Uint8Array(65_536);

  /** `steps` are the longest first, the last of them 6: shorter texts are refused. */
  constructor(wanted: readonly string[], steps: readonly number[]) {
    this.steps = steps;
    for (const text of wanted) {
      const length = steps.find((step) => step <= text.length);
      if (length === undefined) throw new Error(`a text to look for has at least ${window} characters`);
      const head = text.slice(0, length);
      const others = this.byHead.get(head);
      if (others === undefined) this.byHead.set(head, [text]);
      else others.push(text);
      this.marks[mark(hashAt(text, 0))] = 1;
    }
  }

  isIn(text: string): boolean {
    return this.find(text, 0) !== undefined;
  }

  /** The text with something else wherever one that is looked for stands, or as much of it as is there. */
  replace(text: string, by: string): string {
    const pieces: string[] = [];
    let from = 0;
    for (let found = this.find(text, 0); found !== undefined; found = this.find(text, from)) {
      pieces.push(text.slice(from, found.at), by);
      from = found.at + this.sharedLength(text, found.at, found.head);
    }
    return pieces.length === 0 ? text : pieces.join("") + text.slice(from);
  }

  /** The same for what stands there as a whole; what is there in part stays. */
  replaceWhole(text: string, by: string): string {
    const pieces: string[] = [];
    let done = 0;
    let from = 0;
    for (let found = this.find(text, 0); found !== undefined; found = this.find(text, from)) {
      const { at, head } = found;
      const whole = this.byHead
        .get(head)
        ?.reduce((most, each) => (each.length > most && text.startsWith(each, at) ? each.length : most), 0);
      from = at + Math.max(1, whole ?? 0);
      if (whole === undefined || whole === 0) continue;
      pieces.push(text.slice(done, at), by);
      done = from;
    }
    return pieces.length === 0 ? text : pieces.join("") + text.slice(done);
  }

  private find(text: string, from: number): { readonly at: number; readonly head: string } | undefined {
    if (this.byHead.size === 0 || text.length - from < window) return undefined;
    let hash = hashAt(text, from);
    for (let at = from; ; at++) {
      const head = this.marks[mark(hash)] === 1 ? this.headAt(text, at) : undefined;
      if (head !== undefined) return { at, head };
      const next = at + window;
      if (next >= text.length) return undefined;
      hash = (Math.imul(hash - Math.imul(text.charCodeAt(at), top), base) + text.charCodeAt(next)) | 0;
    }
  }

  private headAt(text: string, at: number): string | undefined {
    for (const step of this.steps) {
      const head = text.slice(at, at + step);
      if (this.byHead.has(head)) return head;
    }
    return undefined;
  }

  private sharedLength(text: string, at: number, head: string): number {
    let most = head.length;
    for (const wanted of this.byHead.get(head) ?? []) {
      let length = head.length;
      while (length < wanted.length && text[at + length] === wanted[length]) length++;
      most = Math.max(most, length);
    }
    return most;
  }
}

function hashAt(text: string, at: number): number {
  let hash = 0;
  for (let i = 0; i < window; i++) hash = (Math.imul(hash, base) + text.charCodeAt(at + i)) | 0;
  return hash;
}

function mark(hash: number): number {
  return (hash ^ (hash >>> 16)) & 0xffff;
}
