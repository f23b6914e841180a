import type { ExpiredStore } from "../retention/expired.ts";
import type { DeliveryStateName, TaskId } from "../task/task.ts";

/** One try to hand a message to its receiver. */
export interface DeliveryAttempt {
  readonly number: number;
  /** Milliseconds since the epoch. */
  readonly time: number;
  /** HTTP status; 0 when there was no answer. */
  readonly status: number;
  readonly latencyMs: number;
  /** A sentence; empty on success. */
  readonly error: string;
  /** First 1,024 bytes of the answer, as text. */
  readonly responseStart: string;
}

/** One webhook message. Times are milliseconds since the epoch. */
export interface Delivery {
  /** `{task id}.{event}`. */
  readonly id: string;
  readonly project: string;
  readonly taskId: TaskId;
  readonly event: string;
  readonly url: string;
  /** What shares a breaker and a lane: project and origin. */
  readonly endpoint: string;
  readonly sealedSecrets: readonly string[];
  readonly sealedHeaders: Readonly<Record<string, string>>;
  /** The exact bytes to sign and post, as UTF-8 text. */
  readonly body: string;
  readonly createTime: number;
  readonly state: DeliveryStateName;
  /** When the next attempt is due; absent in final states. While a notifier sends, when another one may take over. */
  readonly nextAttemptTime?: number;
  /** The latest 50. */
  readonly attempts: readonly DeliveryAttempt[];
  /** Attempts made over its whole life. */
  readonly made: number;
  /** Attempts made since the last replay; what the retry rule counts. */
  readonly madeInRound: number;
  /** Rises with every change that the scheduler should know; goes with the report. */
  readonly sequence: number;
  /** True until the scheduler has confirmed `sequence`. */
  readonly unreported: boolean;
}

export interface StoredDelivery {
  readonly delivery: Delivery;
  readonly rev: number;
}

/** The health of one receiver; opens the circuit instead of dropping messages. */
export interface Endpoint {
  readonly endpoint: string;
  readonly consecutiveFailures: number;
  /** Set while the circuit is open: no attempts before this time. */
  readonly pausedUntil?: number;
}

/**
 * Keeps deliveries. Durable when a promise resolves; rejects with `unavailable` as TaskStore does; concurrent calls are gathered.
 * Of ExpiredStore: settled is what `deliverySettledAt` says, and with the deliveries go the endpoints that have nothing left to send.
 */
export interface DeliveryStore extends ExpiredStore {
  insert(deliveries: readonly Delivery[]): Promise<readonly ("inserted" | "exists")[]>;
  get(project: string, id: string): Promise<StoredDelivery | undefined>;
  listByTask(project: string, taskId: TaskId, limit: number, after?: string): Promise<readonly Delivery[]>;
  /** Ids of the exhausted deliveries of a project, in their order, behind `after` where given. */
  listExhausted(project: string, limit: number, after?: string): Promise<readonly string[]>;
  /** Compare-and-set, as in TaskStore. */
  replace(changes: readonly { readonly next: Delivery; readonly rev: number }[]): Promise<readonly ("replaced" | "stale")[]>;
  /** Endpoints that have a delivery due at or before `until`, without scanning all their deliveries. */
  listDueEndpoints(until: number, limit: number, after?: string): Promise<readonly string[]>;
  /** Due deliveries of one endpoint, the earliest first. */
  listDue(endpoint: string, until: number, limit: number): Promise<readonly StoredDelivery[]>;
  /** The earliest `nextAttemptTime` of all. */
  nextDue(): Promise<number | undefined>;
  /** Deliveries whose standing the scheduler has not confirmed, created or changed at or before `until`. */
  listUnreported(limit: number): Promise<readonly StoredDelivery[]>;
  getEndpoint(endpoint: string): Promise<Endpoint | undefined>;
  putEndpoint(endpoint: Endpoint): Promise<void>;
  /** The database's clock, in milliseconds since the epoch. */
  now(): Promise<number>;
}
