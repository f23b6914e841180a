/** Anything that lives: a server, a connection, a loop. */
export interface Part {
  /** For the log. */
  readonly name: string;
  /** Resolves when it works. When it rejects, it must have left nothing behind. */
  start(): Promise<void>;
  /** Takes no new work and resolves when the work under way is done; gives up by itself when `deadline` aborts. */
  drain(deadline: AbortSignal): Promise<void>;
  /** Lets go of everything; called once after a start that resolved, whether or not the drain did. */
  stop(): Promise<void>;
}

/** A part from the functions it needs; the others do nothing. */
export function part(name: string, does: Partial<Omit<Part, "name">>): Part {
  return {
    name,
    start: async () => does.start?.(),
    drain: async (deadline) => does.drain?.(deadline),
    stop: async () => does.stop?.(),
  };
}
