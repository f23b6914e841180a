import type { Client } from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";
import type { ExecutionService } from "@longhaul/proto/execution_service";
import { type CompiledWorkflow, compileWorkflow } from "@longhaul/workflow";

/** Compiled definitions by revision. A revision never changes, so what is here is true for good. */
export interface Definitions {
  get(project: string, workflow: string, revision: number): CompiledWorkflow | Promise<CompiledWorkflow>;
}

const maxKept = 500;

export function definitions(client: Pick<Client<typeof ExecutionService>, "readDefinition">): Definitions {
  const known = new Map<string, CompiledWorkflow>();
  const asked = new Map<string, Promise<CompiledWorkflow>>();

  async function read(key: string, project: string, workflow: string, revision: number): Promise<CompiledWorkflow> {
    try {
      const { definitionJson } = await client.readDefinition({ project, workflow, revision });
      const compiled = compileWorkflow(JSON.parse(Buffer.from(definitionJson).toString()));
      if (!compiled.ok) {
        throw new LonghaulError(
          "conflict",
          `Revision ${revision} of workflow "${workflow}" can't be run by this version; put it again.`,
        );
      }
      known.set(key, compiled.workflow);
      if (known.size > maxKept) {
        const oldest = known.keys().next();
        if (oldest.done !== true) known.delete(oldest.value);
      }
      return compiled.workflow;
    } finally {
      asked.delete(key);
    }
  }

  return {
    get(project, workflow, revision) {
      const key = `${project}/${workflow}/${revision}`;
      const found = known.get(key);
      if (found !== undefined) return found;
      const waiting = asked.get(key) ?? read(key, project, workflow, revision);
      asked.set(key, waiting);
      return waiting;
    },
  };
}
