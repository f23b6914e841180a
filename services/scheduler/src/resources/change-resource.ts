import { LonghaulError, type Resource, type ResourceKey, type ResourceStore, type StoredResource } from "@longhaul/core";

/** Each round means that somebody else changed the same thing at the same time. */
const maxRounds = 8;

/**
 * Stores a resource, whether it is there already or not. `make` answers it from what is stored now, and may be asked more than once. Rejects with
 * `conflict` when others keep changing it.
 */
export async function putResource(
  store: Pick<ResourceStore, "get" | "insert" | "replace">,
  key: ResourceKey,
  make: (known: Resource | undefined) => Resource,
): Promise<Resource> {
  for (let round = 0; round < maxRounds; round++) {
    const [found] = await store.get([key]);
    const next = make(found?.resource);
    const isStored =
      found === undefined ? (await store.insert(next)) === "inserted" : (await store.replace(next, found.rev)) === "replaced";
    if (isStored) return next;
  }
  throw keptChanging(key);
}

/** Removes a resource; answers what it was, or undefined where there is none. Rejects with `conflict` when others keep changing it. */
export async function removeResource(
  store: Pick<ResourceStore, "get" | "remove">,
  key: ResourceKey,
): Promise<StoredResource | undefined> {
  for (let round = 0; round < maxRounds; round++) {
    const [found] = await store.get([key]);
    if (found === undefined || (await store.remove(key, found.rev)) === "removed") return found;
  }
  throw keptChanging(key);
}

function keptChanging({ kind, name }: ResourceKey): LonghaulError {
  return new LonghaulError("conflict", `The ${kind} "${name}" is being changed by others; try again.`);
}
