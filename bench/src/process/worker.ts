/** What a worker process can be asked: by name, what is sent and what comes back. All of it must survive structured cloning. */
export type Calls = { readonly [name: string]: { readonly ask: unknown; readonly answer: unknown } };

/** One question, as it travels. */
export interface Question {
  readonly number: number;
  readonly name: string;
  readonly ask: unknown;
}

/** Its answer. */
export interface Answer {
  readonly number: number;
  readonly answer?: unknown;
  readonly fault?: string;
}

export type Handlers<C extends Calls> = { readonly [K in keyof C]: (ask: C[K]["ask"]) => Promise<C[K]["answer"]> };

/** The child's side: answers questions until it is told to stop or its parent is gone. */
export function serveWorker<C extends Calls>(handlers: Handlers<C>): void {
  const answer = (message: Answer): void => void process.send?.(message);
  process.on("message", (question: Question) => {
    if (question.name === "stop") process.exit(0);
    const handler = handlers[question.name];
    const { number } = question;
    if (handler === undefined) return answer({ number, fault: `this worker knows no ${question.name}` });
    handler(question.ask)
      .then((value) => answer({ number, answer: value }))
      .catch((why: unknown) => answer({ number, fault: why instanceof Error ? (why.stack ?? why.message) : String(why) }));
  });
  process.on("disconnect", () => process.exit(0));
}
