import { createHash, randomUUID } from "node:crypto";
import { type CatalogStore, type Json, LonghaulError, type WorkflowHead, type WorkflowRevision } from "@longhaul/core";
import { type CompiledWorkflow, compileWorkflow } from "@longhaul/workflow";

/** A revision that tasks can be made of. */
export interface Runnable {
  readonly head: Pick<WorkflowHead, "name" | "enabled">;
  readonly revision: WorkflowRevision;
  readonly compiled: CompiledWorkflow;
  /** False when the definition says nothing about its input, so that nobody need parse it. */
  readonly checksInput: boolean;
}

/** Workflow definitions: storing, and finding them fast for every submit. */
export interface Catalog {
  /** The latest or a given revision. Rejects with `workflow_not_found`. */
  resolve(project: string, name: string, revision: number): Promise<Runnable>;
  /** A revision that a task runs, also of a workflow that was deleted or disabled meanwhile. Rejects with `workflow_not_found`. */
  compiledOf(project: string, name: string, revision: number): Promise<CompiledWorkflow>;
  put(
    project: string,
    name: string,
    definition: Json,
  ): Promise<{ readonly head: WorkflowHead; readonly revision: WorkflowRevision }>;
  get(
    project: string,
    name: string,
    revision: number,
  ): Promise<{ readonly head: WorkflowHead; readonly revision: WorkflowRevision }>;
  delete(project: string, name: string): Promise<void>;
  /** Says whether new tasks are taken. Rejects with `workflow_not_found`. */
  setEnabled(project: string, name: string, enabled: boolean): Promise<WorkflowHead>;
  /** Another process changed this workflow. */
  forget(project: string, name: string): void;
}

/** `run`, `logs` and `tasks` are words of the dialects' paths. */
const reservedNames = new Set(["run", "logs", "tasks"]);
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** How long a head may be trusted without asking the store: the net behind the bell that a change rings. */
const headMs = 1_000;
const maxHeads = 2_000;
const maxRevisions = 500;
const maxRounds = 8;

export function catalog(deps: {
  readonly store: CatalogStore;
  readonly now: () => number;
  /** Tells the other schedulers to forget what they know of a workflow. */
  readonly announce: (project: string, name: string) => void;
}): Catalog {
  const { store, now } = deps;
  const heads = new Map<string, { readonly head: WorkflowHead; readonly until: number }>();
  const revisions = new Map<string, Runnable>();
  const compiled = new Map<string, CompiledWorkflow>();
  const keyOf = (project: string, name: string): string => `${project}/${name}`;

  const notFound = (name: string): LonghaulError =>
    new LonghaulError(
      "workflow_not_found",
      `There is no workflow "${name}" in this project; PUT /v1/workflows/${name} stores one.`,
    );

  async function headOf(project: string, name: string): Promise<WorkflowHead> {
    const key = keyOf(project, name);
    const known = heads.get(key);
    if (known !== undefined && known.until > now()) return known.head;
    const found = namePattern.test(name) ? await store.getHead(project, name) : undefined;
    if (found === undefined || found.head.deleted) throw notFound(name);
    remember(heads, key, { head: found.head, until: now() + headMs }, maxHeads);
    return found.head;
  }

  async function revisionOf(project: string, name: string, revision: number): Promise<WorkflowRevision> {
    const found = revision > 0 ? await store.getRevision(project, name, revision) : undefined;
    if (found !== undefined) return found;
    throw new LonghaulError("workflow_not_found", `Workflow "${name}" has no revision ${revision}.`);
  }

  return {
    async resolve(project, name, revision) {
      const head = await headOf(project, name);
      const number = revision === 0 ? head.revision : revision;
      const key = `${keyOf(project, name)}/${number}/${head.uid}`;
      const known = revisions.get(key);
      if (known !== undefined) return known.head.enabled === head.enabled ? known : { ...known, head };
      const found = await revisionOf(project, name, number);
      const runnable: Runnable = {
        head,
        revision: found,
        compiled: compiledFrom(found),
        checksInput: hasInputSchema(found.definition),
      };
      remember(revisions, key, runnable, maxRevisions);
      return runnable;
    },

    async compiledOf(project, name, revision) {
      const key = `${keyOf(project, name)}/${revision}`;
      const known = compiled.get(key);
      if (known !== undefined) return known;
      const made = compiledFrom(await revisionOf(project, name, revision));
      remember(compiled, key, made, maxRevisions);
      return made;
    },

    async get(project, name, revision) {
      const found = namePattern.test(name) ? await store.getHead(project, name) : undefined;
      if (found === undefined || found.head.deleted) throw notFound(name);
      const { head } = found;
      return { head, revision: await revisionOf(project, name, revision === 0 ? head.revision : revision) };
    },

    async put(project, name, definition) {
      const compiled = checked(name, definition);
      const text = JSON.stringify(definition);
      const about = { description: compiled.description, supportsAsync: compiled.supportsAsync };
      for (let round = 0; round < maxRounds; round++) {
        const found = await store.getHead(project, name);
        const last = found === undefined ? undefined : await store.getRevision(project, name, found.head.revision);
        const isSame = last !== undefined && digest(JSON.stringify(last.definition)) === digest(text);
        if (found !== undefined && last !== undefined && isSame && !found.head.deleted)
          return { head: found.head, revision: last };

        const number = (found?.head.revision ?? 0) + 1;
        const at = now();
        const fresh: WorkflowRevision = {
          project,
          name,
          revision: number,
          uid: randomUUID(),
          definition,
          createTime: at,
          ...about,
        };
        let revision = fresh;
        if ((await store.insertRevision(fresh)) === "exists") {
          // Somebody stored this number and has not moved the head yet, or died before: move the head for them.
          const theirs = await store.getRevision(project, name, number);
          if (theirs === undefined) continue;
          revision = theirs;
        }
        const head: WorkflowHead = {
          project,
          name,
          uid: found?.head.uid ?? randomUUID(),
          revision: number,
          enabled: found?.head.enabled ?? true,
          deleted: false,
          createTime: found?.head.createTime ?? at,
          updateTime: revision.createTime,
          description: revision.description,
          supportsAsync: revision.supportsAsync,
        };
        const isStored =
          found === undefined
            ? (await store.insertHead(head)) === "inserted"
            : (await store.replaceHead(head, found.rev)) === "replaced";
        heads.delete(keyOf(project, name));
        if (isStored) deps.announce(project, name);
        if (isStored && revision === fresh) return { head, revision };
      }
      throw new LonghaulError("conflict", `Workflow "${name}" is being changed by others; try again.`);
    },

    async delete(project, name) {
      for (let round = 0; round < maxRounds; round++) {
        const found = namePattern.test(name) ? await store.getHead(project, name) : undefined;
        if (found === undefined || found.head.deleted) throw notFound(name);
        const next: WorkflowHead = { ...found.head, deleted: true, updateTime: now() };
        if ((await store.replaceHead(next, found.rev)) === "replaced") {
          heads.delete(keyOf(project, name));
          deps.announce(project, name);
          return;
        }
      }
      throw new LonghaulError("conflict", `Workflow "${name}" is being changed by others; try again.`);
    },

    async setEnabled(project, name, enabled) {
      for (let round = 0; round < maxRounds; round++) {
        const found = namePattern.test(name) ? await store.getHead(project, name) : undefined;
        if (found === undefined || found.head.deleted) throw notFound(name);
        if (found.head.enabled === enabled) return found.head;
        const next: WorkflowHead = { ...found.head, enabled };
        if ((await store.replaceHead(next, found.rev)) === "replaced") {
          heads.delete(keyOf(project, name));
          deps.announce(project, name);
          return next;
        }
      }
      throw new LonghaulError("conflict", `Workflow "${name}" is being changed by others; try again.`);
    },

    forget(project, name) {
      heads.delete(keyOf(project, name));
    },
  };
}

function compiledFrom({ name, revision, definition }: WorkflowRevision): CompiledWorkflow {
  const compiled = compileWorkflow(definition);
  if (compiled.ok) return compiled.workflow;
  throw new LonghaulError("conflict", `Revision ${revision} of workflow "${name}" can't be run by this version; put it again.`);
}

/** The compiled definition, or every fault of it at once. */
function checked(name: string, definition: Json): CompiledWorkflow {
  if (!namePattern.test(name) || reservedNames.has(name)) {
    const why = reservedNames.has(name)
      ? `"${name}" is reserved`
      : "A name is 1 to 128 letters, digits, dots, dashes or underscores and begins with a letter or digit";
    throw new LonghaulError("invalid_argument", `${why}; choose another one.`, { faults: [{ pointer: "/name", message: why }] });
  }
  const compiled = compileWorkflow(definition);
  if (!compiled.ok) {
    const [first] = compiled.faults;
    const more = compiled.faults.length > 1 ? ` (and ${compiled.faults.length - 1} more)` : "";
    throw new LonghaulError("invalid_argument", `The definition is not valid: ${first?.message ?? ""}${more}`, {
      faults: compiled.faults,
    });
  }
  if (compiled.workflow.name !== name) {
    const message = `The definition is named "${compiled.workflow.name}", the path says "${name}"; make them equal.`;
    throw new LonghaulError("invalid_argument", message, { faults: [{ pointer: "/name", message }] });
  }
  return compiled.workflow;
}

function hasInputSchema(definition: Json): boolean {
  return typeof definition === "object" && definition !== null && "input" in definition;
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("base64");
}

/** Maps keep insertion order: the oldest entry goes first. */
function remember<V>(map: Map<string, V>, key: string, value: V, max: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= max) return;
  const oldest = map.keys().next();
  if (oldest.done !== true) map.delete(oldest.value);
}
