/**
 * The least that grouping takes: what arrives while calls are under way goes out with the next one. While one is under way, another
 * starts only for 16 or more.
 */
export function gather<I, O>(
  call: (items: I[]) => Promise<readonly O[]>,
  { maxItems = 256, maxUnderWay = 4, minWhileBusy = 16 } = {},
): (item: I) => Promise<O> {
  let queue: { readonly item: I; resolve(out: O): void; reject(why: unknown): void }[] = [];
  let underWay = 0;
  let due = false;

  function flush(): void {
    due = false;
    while (queue.length > 0 && underWay < maxUnderWay && (underWay === 0 || queue.length >= minWhileBusy)) {
      const group = queue.slice(0, maxItems);
      queue = queue.slice(maxItems);
      underWay++;
      call(group.map((one) => one.item))
        .then((results) => {
          for (let i = 0; i < group.length; i++) group[i]?.resolve(results[i] as O);
        })
        .catch((why: unknown) => {
          for (const one of group) one.reject(why);
        })
        .finally(() => {
          underWay--;
          soon();
        });
    }
  }
  function soon(): void {
    if (due) return;
    due = true;
    setImmediate(flush);
  }
  return (item) =>
    new Promise((resolve, reject) => {
      queue.push({ item, resolve, reject });
      soon();
    });
}
