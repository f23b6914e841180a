import type { Failure, Json } from "@longhaul/core";
import type { SecretUse } from "../definition/secret-uses.ts";
import { type JsonObject, setOwn } from "../expression/cel-value.ts";
import type { NodeWait } from "../kinds/kind.ts";
import { leastSecretLength, secretForms } from "./secret-forms.ts";
import type { NodeRecord, TaskOutcome } from "./task-run.ts";
import { TextFinder } from "./text-finder.ts";

/** Cleans what is told bit by bit. */
export interface Teller {
  /** The delta as it may be told now; undefined where nothing of it may be. */
  tell(delta: Json): Json | undefined;
  /** What was kept back, when nothing follows. */
  rest(): Json | undefined;
}

/** The one text of a delta, and how to put another in its place. */
interface TextPlace {
  readonly text: string;
  with(text: string): Json;
}

/** What stands in place of every secret value in what is recorded, told or logged. */
export const redacted = "[secret]";

/** A form counts as found by this many characters of its beginning: the most that it has. */
const steps = [40, 24, 12, 8, leastSecretLength];
/** In what is only shown, long forms are known by less: so many characters that nobody writes them by chance. */
const cutSteps = [12];
const longLength = 20;
// A finder is 64 KiB: most tasks have no secrets, and share the one that finds nothing.
const nothing = new TextFinder([], steps);

/**
 * The secrets of one task under way, and what keeps their values out of records, failures, logs and progress. An output must stay as it is,
 * because later nodes go on with it: where it holds a value it is marked, so that it is stored sealed and shown to nobody.
 */
export class Vault {
  /** What expressions see as `secrets`. */
  readonly values: JsonObject;
  private readonly uses: readonly SecretUse[];
  private forms: readonly string[] = [];
  private finder = nothing;
  private cutFinder = nothing;

  constructor(uses: readonly SecretUse[] = [], values: Readonly<Record<string, string>> = {}) {
    this.uses = uses;
    const own: Record<string, Json> = Object.create(null);
    for (const [name, value] of Object.entries(values)) own[name] = value;
    this.values = own;
    for (const value of Object.values(values)) this.add(value);
  }

  /** True while there is nothing to look for. */
  get isEmpty(): boolean {
    return this.forms.length === 0;
  }

  /** Keeps another value out from now on. */
  add(value: string): void {
    const fresh = secretForms(value).filter((form) => !this.forms.includes(form));
    if (fresh.length === 0) return;
    this.forms = [...this.forms, ...fresh].sort((a, b) => b.length - a.length);
    this.finder = new TextFinder(this.forms, steps);
    this.cutFinder = new TextFinder(
      this.forms.filter((form) => form.length >= longLength),
      cutSteps,
    );
  }

  /** The secret that the expression at this pointer needs and that does not exist. */
  missingAt(pointer: string): string | undefined {
    return this.uses.find((use) => use.pointer === pointer && !Object.hasOwn(this.values, use.name))?.name;
  }

  /** Whether a text holds a value in any form that is looked for. */
  isIn(text: string): boolean {
    return this.finder.isIn(text);
  }

  text(text: string): string {
    if (this.isEmpty) return text;
    const clean = this.finder.replace(text, redacted);
    // What is left of a long form that was cut somewhere, whatever follows.
    const cut = this.cutFinder.replace(clean, redacted);
    return this.withoutCutValue(cut);
  }

  json(value: Json): Json {
    if (this.isEmpty) return value;
    if (typeof value === "string") return this.text(value);
    if (typeof value === "number") return this.isIn(String(value)) ? redacted : value;
    if (typeof value !== "object" || value === null) return value;
    if (Array.isArray(value)) return value.map((item: Json) => this.json(item));
    const clean: Record<string, Json> = {};
    for (const [key, item] of Object.entries(value)) setOwn(clean, this.text(key), this.json(item));
    return clean;
  }

  failure(error: Failure): Failure {
    if (this.isEmpty) return error;
    const { message, details } = error;
    return { ...error, message: this.text(message), ...(details === undefined ? {} : { details: this.details(details) }) };
  }

  record(record: NodeRecord): NodeRecord {
    if (this.isEmpty) return record;
    const { inputJson, outputJson, error, log, wait } = record;
    return {
      ...record,
      ...(inputJson !== undefined && this.isIn(inputJson) ? { inputJson: JSON.stringify(this.json(JSON.parse(inputJson))) } : {}),
      ...(outputJson !== undefined && this.isIn(outputJson) ? { secret: true as const } : {}),
      ...(error === undefined ? {} : { error: this.failure(error) }),
      ...(log === undefined ? {} : { log: log.map(({ atMs, line }) => ({ atMs, line: this.text(line) })) }),
      ...(wait === undefined ? {} : { wait: this.wait(wait) }),
    };
  }

  outcome(outcome: TaskOutcome): TaskOutcome {
    if (this.isEmpty) return outcome;
    switch (outcome.kind) {
      case "failed":
        return { ...outcome, error: this.failure(outcome.error) };
      case "wait":
        return { ...outcome, waits: outcome.waits.map((wait) => ({ ...wait, reason: this.text(wait.reason) })) };
      case "aborted":
        return outcome.cause === undefined ? outcome : { ...outcome, cause: this.thrown(outcome.cause) };
      default:
        return outcome;
    }
  }

  /** An error as it may be logged. */
  thrown(error: unknown): unknown {
    if (this.isEmpty) return error;
    if (!(error instanceof Error)) return new Error(this.text(String(error)));
    const clean = new Error(this.text(error.message));
    clean.name = error.name;
    clean.stack = this.text(error.stack ?? "");
    return clean;
  }

  /** What one try may tell while it works. A value that comes in pieces is kept back until it is whole, and with it all that may become one. */
  teller(): Teller {
    let kept = "";
    let place: TextPlace | undefined;
    return {
      tell: (delta) => {
        if (this.isEmpty) return delta;
        const found = textPlace(delta);
        if (found === undefined) return this.json(delta);
        place = found;
        const clean = this.finder.replaceWhole(kept + found.text, redacted);
        const from = this.startOfCutValue(clean, 1);
        kept = clean.slice(from);
        return from === 0 ? undefined : found.with(this.finder.replace(clean.slice(0, from), redacted));
      },
      rest: () => {
        const clean = this.withoutCutValue(kept);
        kept = "";
        return clean === "" ? undefined : place?.with(clean);
      },
    };
  }

  details(details: NonNullable<Failure["details"]>): NonNullable<Failure["details"]> {
    const clean: Record<string, Json> = {};
    for (const [key, item] of Object.entries(details)) setOwn(clean, this.text(key), this.json(item));
    return clean;
  }

  private wait({ reason, name, details, memory, ...wait }: NodeWait): NodeWait {
    return {
      ...wait,
      reason: this.text(reason),
      ...(name === undefined ? {} : { name: this.text(name) }),
      ...(details === undefined ? {} : { details: this.json(details) }),
      // Stored in clear like the rest: a kind that would go on with a value from here has to read it again from its `with`.
      ...(memory === undefined ? {} : { memory: this.json(memory) }),
    };
  }

  /** Texts are cut by whoever shows them, and what is left of a value at the end of one is telling enough. */
  private withoutCutValue(text: string): string {
    const [mark = ""] = /(?:…|\.\.\.)$/.exec(text) ?? [];
    const body = mark === "" ? text : text.slice(0, -mark.length);
    const from = this.startOfCutValue(body, leastSecretLength);
    return from === body.length ? text : body.slice(0, from) + redacted + mark;
  }

  /** Where a beginning of a form, of at least so many characters, stands at the very end of a text; its length where none does. */
  private startOfCutValue(text: string, least: number): number {
    let start = text.length;
    for (const form of this.forms) {
      const head = form.slice(0, least);
      let at = text.indexOf(head, Math.max(0, text.length - form.length + 1));
      while (at !== -1 && at < start && !form.startsWith(text.slice(at))) at = text.indexOf(head, at + 1);
      if (at !== -1 && at < start) start = at;
    }
    return start;
  }
}

function textPlace(delta: Json): TextPlace | undefined {
  if (typeof delta === "string") return { text: delta, with: (text) => text };
  if (typeof delta !== "object" || delta === null || Array.isArray(delta)) return undefined;
  const entries = Object.entries(delta as JsonObject);
  const texts = entries.filter(([, value]) => typeof value === "string");
  const [only] = texts;
  if (only === undefined || texts.length > 1 || entries.some(([, value]) => typeof value === "object" && value !== null))
    return undefined;
  const [key, text] = only;
  return typeof text === "string" ? { text, with: (clean) => ({ ...delta, [key]: clean }) } : undefined;
}
