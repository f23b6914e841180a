import type { TaskStore } from "@longhaul/core";
import { describe } from "vitest";
import type { Open } from "./opened.ts";
import { testTaskChildren } from "./task-store-children.ts";
import { testTaskLists } from "./task-store-lists.ts";
import { testTaskModel } from "./task-store-model.ts";
import { testNodeRuns } from "./task-store-node-runs.ts";
import { testNodeRunPaths } from "./task-store-paths.ts";
import { testTaskQueues } from "./task-store-queues.ts";
import { testTaskShapes } from "./task-store-shapes.ts";
import { testTaskWrites } from "./task-store-writes.ts";

/** What every TaskStore must do. `open` gives a fresh, empty store for each test. */
export function testTaskStore(name: string, open: Open<TaskStore>): void {
  describe(`${name} as a TaskStore`, () => {
    testTaskWrites(open);
    testTaskShapes(open);
    testNodeRuns(open);
    testNodeRunPaths(open);
    testTaskChildren(open);
    testTaskQueues(open);
    testTaskLists(open);
    testTaskModel(open);
  });
}
