import { expect, test } from "vitest";
import { queued } from "../contract/index.ts";
import { taskCache } from "./task-cache.ts";

const stored = (id: string, rev = 0) => ({ task: queued({ id }), rev });

test("the cache never holds more tasks than it may; the least recently set go first", () => {
  const cache = taskCache(2, 1_000, () => 1);
  for (const id of ["a", "b", "a", "c"]) cache.set(stored(id));
  expect(["a", "b", "c"].map((id) => cache.get(id)?.task.id)).toEqual(["a", undefined, "c"]);
});

test("the cache never holds more bytes than it may, not even for one task", () => {
  const cache = taskCache(100, 10, (one) => one.rev);
  cache.set(stored("a", 4));
  cache.set(stored("b", 4));
  cache.set(stored("c", 4));
  expect(["a", "b", "c"].map((id) => cache.get(id)?.rev)).toEqual([undefined, 4, 4]);
  cache.set(stored("d", 11));
  expect(["b", "c", "d"].map((id) => cache.get(id))).toEqual([undefined, undefined, undefined]);
  cache.set(stored("e", 10));
  cache.forget("e");
  cache.set(stored("f", 10));
  expect(cache.get("f")?.rev).toBe(10);
});

test("what is known is never replaced by something older", () => {
  const cache = taskCache(2, 1_000, () => 1);
  cache.set(stored("a", 2));
  cache.set(stored("a", 1));
  expect(cache.get("a")?.rev).toBe(2);
  cache.forget("a");
  cache.set(stored("a", 0));
  expect(cache.get("a")?.rev).toBe(0);
});
