import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";
import {
  type WorkflowServiceImportDifyRequest,
  type WorkflowServiceImportDifyResponse,
  WorkflowServiceImportDifyResponseSchema,
} from "@longhaul/proto/workflow_service";
import { projectOf } from "@longhaul/shared";
import { compileWorkflow, type DifyRemark, importDify as importText } from "@longhaul/workflow";
import { faultMessage } from "./validate.ts";

export function importDify(
  request: WorkflowServiceImportDifyRequest,
  context: HandlerContext,
): WorkflowServiceImportDifyResponse {
  projectOf(context);
  const found = importText(request.text);
  if (!found.ok) {
    const [first] = found.faults;
    throw new LonghaulError("invalid_argument", `The app can't be imported: ${first?.message ?? ""}`, { faults: found.faults });
  }
  const { definition, report } = found;
  const compiled = compileWorkflow(definition);
  return create(WorkflowServiceImportDifyResponseSchema, {
    // The importer makes nothing but plain JSON.
    definition: JSON.parse(JSON.stringify(definition)),
    report: {
      app: report.app,
      version: report.version,
      complete: report.complete,
      nodes: report.nodes.map(({ carried, changed, lost, ...node }) => ({
        ...node,
        carried: [...carried],
        changed: changed.map(remark),
        lost: lost.map(remark),
      })),
      changed: report.changed.map(remark),
      lost: report.lost.map(remark),
      secrets: [...report.secrets],
    },
    valid: compiled.ok,
    errors: compiled.ok ? [] : compiled.faults.map(faultMessage),
  });
}

function remark({ what, reason, mend }: DifyRemark) {
  return { what, reason, mend };
}
