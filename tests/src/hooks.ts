import { type ReceivedRequest, type WebhookReceiver, webhookReceiver } from "@longhaul/testkit";
import { Webhook } from "standardwebhooks";
import type { TaskView } from "./api.ts";
import { until } from "./until.ts";

export const hookSecret = `whsec_${Buffer.alloc(24, 3).toString("base64")}`;

export interface HookMessage {
  readonly id: string;
  readonly type: string;
  readonly task: TaskView;
  readonly path: string;
}

/** A receiver of webhooks that checks every signature with another implementation than ours. */
export interface Hooks {
  readonly url: string;
  readonly receiver: WebhookReceiver;
  /** Every message received and verified; one per request, repeats included. */
  messages(): readonly HookMessage[];
  /** The verified messages about one task. */
  of(taskId: string): readonly HookMessage[];
  /** Resolves with the first message about the task. */
  about(taskId: string, withinMs?: number): Promise<HookMessage>;
  stop(): Promise<void>;
}

/** Throws unless the signature of the message is right for the exact bytes. */
export function verify({ headers, body, path }: ReceivedRequest, secret = hookSecret): HookMessage {
  const id = String(headers["webhook-id"]);
  new Webhook(secret).verify(body.toString(), {
    "webhook-id": id,
    "webhook-timestamp": String(headers["webhook-timestamp"]),
    "webhook-signature": String(headers["webhook-signature"]),
  });
  const { type, data }: { readonly type: string; readonly data: TaskView } = JSON.parse(body.toString());
  return { id, type, task: data, path };
}

export async function hooks(): Promise<Hooks> {
  const receiver = await webhookReceiver();
  // Each request is verified once; a signature is slow to check thousands of times.
  const verified: HookMessage[] = [];
  const messages = (): readonly HookMessage[] => {
    while (verified.length < receiver.requests.length) {
      const next = receiver.requests[verified.length];
      if (next) verified.push(verify(next));
    }
    return verified;
  };
  const of = (taskId: string): readonly HookMessage[] => messages().filter((one) => one.task.id === taskId);
  return {
    url: receiver.url,
    receiver,
    messages,
    of,
    about: (taskId, withinMs) => until(() => of(taskId)[0], withinMs, `the webhook of ${taskId}`),
    stop: () => receiver.stop(),
  };
}
