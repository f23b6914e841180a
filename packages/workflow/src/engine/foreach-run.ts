import type { Failure, Json } from "@longhaul/core";
import type { CompiledNode } from "../definition/compiled-workflow.ts";
import { readForeach } from "../kinds/foreach/rules.ts";
import { failure, withheld } from "./failure.ts";
import type { GraphOwner } from "./graph-place.ts";
import type { GraphRun } from "./graph-run.ts";
import { NodeWork } from "./node-work.ts";
import { maxOutputBytes } from "./output-text.ts";
import { triedAndFailed } from "./run-node.ts";
import type { StoredRun } from "./task-run.ts";

// What one item costs of a turn besides its expressions, so that a long list of cheap ones lets other work in between.
const unitsPerItem = 200;
const maxShownErrors = 10;
const maxShownMessage = 200;

interface ItemError {
  readonly index: number;
  readonly error: Failure;
}

/**
 * A `foreach` node under way: one graph per item, as many side by side as allowed. An item that has ended leaves its result and one record;
 * only items under way hold more than that.
 */
export class ForeachRun {
  private readonly graph: GraphRun;
  private readonly node: CompiledNode;
  private readonly path: string;
  private readonly work: NodeWork;
  private readonly items: readonly Json[];
  private readonly concurrency: number;
  private readonly onItemError: "stop" | "continue" | "collect";
  private readonly as: string | undefined;
  private readonly results: Json[];
  private readonly ended: Uint8Array;
  private readonly errors: ItemError[] = [];
  private readonly active = new Map<number, GraphRun>();
  // Items under way of which this attempt has recorded that they have begun.
  private readonly noted = new Set<number>();
  // Items that earlier attempts began; only for these, inner runs may be stored.
  private readonly begun = new Set<number>();
  private readonly stored: ReadonlyMap<string, StoredRun> | undefined;
  private next = 0;
  private endedCount = 0;
  private bytes = 0;
  private filling = false;
  private paused = false;
  private isOver = false;
  private isNoted = false;

  /** Throws NodeFailure for a `with` that names no list, or too long a one. */
  constructor(
    graph: GraphRun,
    node: CompiledNode,
    path: string,
    input: Json,
    stored: ReadonlyMap<string, StoredRun> | undefined,
    startTimeMs: number,
  ) {
    const { items, as, concurrency, onItemError } = readForeach(input);
    this.graph = graph;
    this.node = node;
    this.path = path;
    this.stored = stored;
    this.items = items;
    this.as = as;
    this.concurrency = concurrency;
    this.onItemError = onItemError;
    this.work = new NodeWork(graph, node, path, startTimeMs, stored?.get(path));
    this.work.tries = 1;
    this.results = new Array<Json>(items.length).fill(null);
    this.ended = new Uint8Array(items.length);
  }

  begin(): void {
    const { run } = this.graph;
    if (run.facts.hasMoreStored === true && run.hooks.readStored !== undefined && this.stored?.has(this.path) === true) {
      run.launch(this.load());
      return;
    }
    if (this.stored !== undefined && this.stored.size > 0)
      for (let index = 0; index < this.items.length; index++) this.restore(index, this.stored.get(this.itemPath(index)));
    this.fill();
  }

  abort(): void {
    this.isOver = true;
    for (const item of this.active.values()) item.abort();
    this.active.clear();
  }

  /** True where a node at the path inside an item can never wait for anything (again). */
  isPathOver(index: number, rest: string): boolean {
    if (index >= this.items.length || this.ended[index] === 1 || rest === "") return true;
    return this.active.get(index)?.isPathOver(rest) ?? false;
  }

  private itemPath(index: number): string {
    return `${this.path}[${index}]`;
  }

  private async load(): Promise<void> {
    const { run } = this.graph;
    const prefix = `${this.path}[`;
    for await (const page of run.hooks.readStored?.(prefix, { top: true }) ?? []) {
      if (this.isOver) return;
      for (const stored of page) {
        const [, index] = /^([0-9]{1,9})\]$/.exec(stored.path.slice(prefix.length)) ?? [];
        if (index !== undefined && stored.path.startsWith(prefix)) this.restore(Number(index), stored);
      }
    }
    this.fill();
  }

  /** Takes over an item of an earlier attempt. */
  private restore(index: number, stored: StoredRun | undefined): void {
    if (stored === undefined || this.isOver || index >= this.items.length) return;
    if (stored.state === "running") this.begun.add(index);
    if (stored.state === "succeeded") this.end(index, stored.output ?? null);
    if (stored.state === "failed") {
      const { error = { code: "node_failed", message: "the item failed in an earlier attempt", retryable: false } } = stored;
      this.endFailed(index, error);
    }
  }

  /** Begins items as long as there is room. */
  private fill(): void {
    if (this.filling) return;
    this.filling = true;
    while (!this.isOver && !this.paused && this.active.size < this.concurrency && this.next < this.items.length) {
      const index = this.next++;
      if (this.ended[index] === 1) continue;
      this.beginItem(index);
      if (this.graph.run.isFullOfNews) this.pause();
    }
    this.filling = false;
    if (!this.isOver && this.endedCount === this.items.length) this.complete();
  }

  /** Begins no further item before everything so far is stored, so that what is not stored stays small. */
  private pause(): void {
    const { run } = this.graph;
    this.paused = true;
    run.launch(
      run.allStored().then(() => {
        this.paused = false;
        if (!this.isOver) this.fill();
      }),
    );
  }

  private beginItem(index: number): void {
    const { run } = this.graph;
    run.turn.left -= unitsPerItem;
    const isLoaded = run.facts.hasMoreStored !== true || run.hooks.readStored === undefined;
    if (isLoaded || !this.begun.has(index)) this.startItem(index, isLoaded ? this.stored : undefined);
    else {
      // Holds the place among the items under way while its runs are read.
      const place = this.itemGraph(index, undefined, undefined);
      this.active.set(index, place);
      run.launch(this.loadItem(index));
    }
  }

  private async loadItem(index: number): Promise<void> {
    const stored = new Map<string, StoredRun>();
    const { hooks } = this.graph.run;
    for await (const page of hooks.readStored?.(`${this.itemPath(index)}.`, { top: true }) ?? [])
      for (const run of page) stored.set(run.path, run);
    if (!this.isOver) this.startItem(index, stored);
  }

  private startItem(index: number, stored: ReadonlyMap<string, StoredRun> | undefined): void {
    const owner: GraphOwner = {
      onSettled: (graph) => this.finishItem(index, graph, startTimeMs),
      onFailed: (graph, error) => this.failItem(index, graph, error, startTimeMs),
      onOpened: () => this.noteOpened(index, startTimeMs),
    };
    const item = this.itemGraph(index, stored, owner);
    const startTimeMs = stored?.get(this.itemPath(index))?.startTimeMs ?? this.graph.run.hooks.now();
    this.active.set(index, item);
    item.start();
  }

  private itemGraph(index: number, stored: ReadonlyMap<string, StoredRun> | undefined, owner: GraphOwner | undefined): GraphRun {
    const item = this.items[index] ?? null;
    const { locals } = this.graph.scope;
    return this.graph.inner(
      this.node,
      { prefix: `${this.itemPath(index)}.`, owner: owner ?? nobody, stored },
      { item, index, ...(this.as === undefined ? {} : { locals: { ...locals, [this.as]: item } }) },
    );
  }

  /** A later attempt must know that this item has begun, before it can find what is inside. */
  private noteOpened(index: number, startTimeMs: number): void {
    if (this.noted.has(index)) return;
    this.noted.add(index);
    this.noteSelf();
    this.graph.run.push({ path: this.itemPath(index), kind: this.node.kind.name, state: "running", startTimeMs, tries: 1 });
  }

  /** A later attempt must know that the node has begun, before it can find items that have ended. */
  private noteSelf(): void {
    if (this.isNoted) return;
    this.isNoted = true;
    this.graph.push(this.work.record("running", {}));
  }

  private finishItem(index: number, graph: GraphRun, startTimeMs: number): void {
    if (graph.isOver) return;
    const { run } = this.graph;
    try {
      const output = graph.output();
      if (output instanceof Promise) {
        run.launch(
          output.then(
            (value) => this.succeedItem(index, graph, value, startTimeMs),
            (thrown: unknown) => this.failOutput(index, graph, thrown, startTimeMs),
          ),
        );
      } else this.succeedItem(index, graph, output, startTimeMs);
    } catch (thrown) {
      this.failOutput(index, graph, thrown, startTimeMs);
    }
  }

  private failOutput(index: number, graph: GraphRun, thrown: unknown, startTimeMs: number): void {
    if (!graph.isOver)
      this.failItem(index, graph, triedAndFailed(graph, this.node, this.itemPath(index), thrown).error, startTimeMs);
  }

  private succeedItem(index: number, graph: GraphRun, output: Json, startTimeMs: number): void {
    if (graph.isOver || this.isOver) return;
    const { run } = this.graph;
    const outputJson = graph.textOf(output);
    this.bytes += outputJson?.length ?? 0;
    if (outputJson === undefined || this.bytes > maxOutputBytes) {
      const message = `the results are together larger than ${maxOutputBytes} bytes`;
      this.fail(failure("output_too_large", message, this.path, false));
      return;
    }
    this.noteSelf();
    run.push(
      {
        path: this.itemPath(index),
        kind: this.node.kind.name,
        state: "succeeded",
        outputJson,
        startTimeMs,
        endTimeMs: run.hooks.now(),
        tries: 1,
        ...(this.node.secret ? { secret: true as const } : {}),
      },
      undefined,
      outputJson.length,
    );
    this.end(index, output);
    this.fill();
  }

  private failItem(index: number, graph: GraphRun, error: Failure, startTimeMs: number): void {
    if (graph.isOver || this.isOver) return;
    const { run } = this.graph;
    const isSaid = error.node === this.itemPath(index) && (this.node.inner?.outputWithholds ?? false);
    const shown = isSaid ? withheld(error) : this.graph.shownError(this.node, error);
    this.noteSelf();
    run.push({
      path: this.itemPath(index),
      kind: this.node.kind.name,
      state: "failed",
      error: shown,
      startTimeMs,
      endTimeMs: run.hooks.now(),
      tries: 1,
    });
    this.endFailed(index, shown);
    this.fill();
  }

  private end(index: number, output: Json): void {
    this.results[index] = output;
    this.close(index);
  }

  private endFailed(index: number, error: Failure): void {
    this.close(index);
    if (this.onItemError === "stop") {
      const details = { index, node: error.node ?? "", code: error.code, ...(error.details ? { cause: error.details } : {}) };
      this.fail(failure(error.code, `item ${index}: ${error.message}`, this.path, false, details));
    } else this.errors.push({ index, error });
  }

  private close(index: number): void {
    if (this.ended[index] === 1) return;
    this.ended[index] = 1;
    this.endedCount++;
    this.active.get(index)?.abort();
    this.active.delete(index);
    this.noted.delete(index);
  }

  private fail(error: Failure): void {
    if (this.isOver) return;
    this.abort();
    this.work.fail(error);
  }

  private complete(): void {
    this.isOver = true;
    const errors = this.errors.sort((a, b) => a.index - b.index);
    const [first] = errors;
    if (this.onItemError === "collect" && first !== undefined) {
      const message = `${errors.length} of ${this.items.length} items failed; item ${first.index}: ${first.error.message}`;
      this.work.fail(failure("items_failed", message, this.path, false, collected(errors)));
      return;
    }
    this.work.succeed({ results: this.results, errors: errors.map(({ index, error }) => ({ index, error: jsonOf(error) })) });
  }
}

const nobody: GraphOwner = { onSettled: () => undefined, onFailed: () => undefined, onOpened: () => undefined };

function jsonOf({ code, message, node = "", retryable, details }: Failure): Json {
  return { code, message, node, retryable, ...(details === undefined ? {} : { details }) };
}

function collected(errors: readonly ItemError[]): { readonly [key: string]: Json } {
  const shown = errors
    .slice(0, maxShownErrors)
    .map(({ index, error }): Json => ({ index, code: error.code, message: error.message.slice(0, maxShownMessage) }));
  return { failed: errors.length, errors: shown };
}
