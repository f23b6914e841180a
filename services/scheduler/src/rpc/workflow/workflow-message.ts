import { create, type JsonObject } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { WorkflowHead, WorkflowRevision } from "@longhaul/core";
import { type Workflow, WorkflowSchema } from "@longhaul/proto/workflow_service";

/** A revision as the API shows it, with what its head adds. */
export function revisionMessage(head: WorkflowHead, revision: WorkflowRevision, withDefinition: boolean): Workflow {
  return create(WorkflowSchema, {
    name: head.name,
    project: head.project,
    uid: head.uid,
    revision: revision.revision,
    revisionUid: revision.uid,
    enabled: head.enabled,
    createTime: timestampFromMs(head.createTime),
    updateTime: timestampFromMs(revision.createTime),
    description: revision.description,
    supportsAsync: revision.supportsAsync,
    // A definition that was stored was an object: compileWorkflow() refuses anything else.
    ...(withDefinition && { definition: revision.definition as JsonObject }),
  });
}

/** A workflow in a list. */
export function headMessage(head: WorkflowHead): Workflow {
  return create(WorkflowSchema, {
    name: head.name,
    project: head.project,
    uid: head.uid,
    revision: head.revision,
    enabled: head.enabled,
    createTime: timestampFromMs(head.createTime),
    updateTime: timestampFromMs(head.updateTime),
    description: head.description,
    supportsAsync: head.supportsAsync,
  });
}
