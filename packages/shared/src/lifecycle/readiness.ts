/** Whether a process wants new work; probes and the health service answer from it. */
export interface Readiness {
  isReady(): boolean;
  set(ready: boolean): void;
  /** Tells of every change until the returned function is called. */
  onChange(listener: (ready: boolean) => void): () => void;
}

/** Starts as not ready. */
export function readiness(): Readiness {
  let ready = false;
  const listeners = new Set<(ready: boolean) => void>();
  return {
    isReady: () => ready,
    set(next) {
      if (next === ready) return;
      ready = next;
      for (const listener of [...listeners]) listener(ready);
    },
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
