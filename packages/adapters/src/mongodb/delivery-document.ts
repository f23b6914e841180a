import {
  type Delivery,
  type DeliveryAttempt,
  type DeliveryStateName,
  deliverySettledAt,
  type StoredDelivery,
} from "@longhaul/core";
import { newWriteId } from "./write-id.ts";

/** The fields that a change of the delivery writes, besides `rev` and `writeId`. */
interface DeliveryChangeDocument {
  /** Null in final states; the index of what is due next holds numbers only. */
  readonly nextAttemptTime: number | null;
  /** The endpoint while an attempt is to come, else null: the index of due deliveries holds no others, by a filter on this field alone. */
  readonly lane: string | null;
  readonly unreported: boolean;
  /** What retention counts from; null before. */
  readonly settledAt: number | null;
  readonly head: {
    readonly state: DeliveryStateName;
    readonly attempts: readonly DeliveryAttempt[];
    readonly made: number;
    readonly madeInRound: number;
    readonly sequence: number;
  };
}

/** A delivery as it lies in `deliveries`. Times are milliseconds since the epoch. */
export interface DeliveryDocument extends DeliveryChangeDocument {
  readonly _id: string;
  readonly project: string;
  readonly taskId: string;
  readonly event: string;
  readonly url: string;
  readonly endpoint: string;
  readonly sealedSecrets: readonly string[];
  /** JSON text, because header names are keys. */
  readonly sealedHeaders: string;
  readonly body: string;
  readonly createTime: number;
  readonly insertId: string;
  readonly rev: number;
  readonly writeId: string;
}

export function deliveryToDocument(delivery: Delivery): DeliveryDocument {
  const id = newWriteId();
  return {
    _id: delivery.id,
    project: delivery.project,
    taskId: delivery.taskId,
    event: delivery.event,
    url: delivery.url,
    endpoint: delivery.endpoint,
    sealedSecrets: delivery.sealedSecrets,
    sealedHeaders: JSON.stringify(delivery.sealedHeaders),
    body: delivery.body,
    createTime: delivery.createTime,
    insertId: id,
    rev: 0,
    writeId: id,
    ...deliveryChange(delivery),
  };
}

/** What of a delivery may change after its insert. */
export function deliveryChange(delivery: Delivery): DeliveryChangeDocument {
  const { state, attempts, made, madeInRound, sequence } = delivery;
  return {
    nextAttemptTime: delivery.nextAttemptTime ?? null,
    lane: delivery.nextAttemptTime === undefined ? null : delivery.endpoint,
    unreported: delivery.unreported,
    settledAt: deliverySettledAt(delivery) ?? null,
    head: { state, attempts, made, madeInRound, sequence },
  };
}

export function storedDelivery(document: DeliveryDocument): StoredDelivery {
  const { project, taskId, event, url, endpoint, sealedSecrets, body, createTime, unreported, head, nextAttemptTime } = document;
  const sealedHeaders: Readonly<Record<string, string>> = JSON.parse(document.sealedHeaders);
  const common = { id: document._id, project, taskId, event, url, endpoint, sealedSecrets, sealedHeaders, body, createTime };
  const delivery: Delivery = {
    ...common,
    ...head,
    ...(nextAttemptTime === null ? {} : { nextAttemptTime }),
    unreported,
  };
  return { delivery, rev: document.rev };
}
