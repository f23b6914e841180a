import { type JsonSchema, orExpression } from "../../definition/schema-type.ts";

/** `with` of a workflow node. */
export const workflowNodeSchema: JsonSchema = {
  type: "object",
  description: "Which workflow to run as a task of its own, and on what.",
  required: ["name"],
  additionalProperties: false,
  properties: {
    name: orExpression({
      type: "string",
      pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$",
      description: "Name of the workflow, in the same project.",
    }),
    input: { description: "Input of the task; {} if not given." },
    await: {
      type: "boolean",
      default: true,
      description: "True waits for the task and gives its output; false goes on at once and gives { taskId }.",
    },
    revision: orExpression({ type: "integer", minimum: 1, description: "Revision to run; the latest if not given." }),
    labels: orExpression({
      type: "object",
      maxProperties: 64,
      additionalProperties: { type: "string" },
      description: "Labels of the task.",
    }),
  },
};
