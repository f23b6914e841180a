/** The known name that a mistyped one most likely means, or undefined where none is near. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  if (name.length > 128) return undefined;
  let best: string | undefined;
  let least = Math.floor(name.length / 3) + 1;
  for (const candidate of known) {
    if (Math.abs(candidate.length - name.length) > least) continue;
    const steps = editSteps(name.toLowerCase(), candidate.toLowerCase());
    if (steps < least || (steps === least && best === undefined)) {
      best = candidate;
      least = steps;
    }
  }
  return best;
}

/** Letters to insert, remove or change to get from one word to the other. */
function editSteps(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const change = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
