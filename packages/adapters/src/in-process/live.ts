import { type Json, type Live, LonghaulError } from "@longhaul/core";

export interface InProcessLiveOptions {
  /** Told what a subscriber threw; the others get the message all the same. */
  readonly onFault?: (fault: unknown, subject: string) => void;
}

type OnMessage = (message: Json) => void;

const subjectForm = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/;

/**
 * Live subjects within one process. Messages arrive in order, once per event-loop turn and never within `publish`; a message nobody
 * listens to costs one look-up. There is no connection to lose, so `onGap` never calls.
 */
export function inProcessLive({ onFault = () => {} }: InProcessLiveOptions = {}): Live {
  const listeners = new Map<string, Set<{ readonly onMessage: OnMessage }>>();
  let sent: { readonly subject: string; readonly message: Json }[] = [];

  function deliver(): void {
    const group = sent;
    sent = [];
    for (const { subject, message } of group) {
      for (const { onMessage } of listeners.get(subject) ?? []) {
        try {
          onMessage(message);
        } catch (fault) {
          onFault(fault, subject);
        }
      }
    }
  }

  return {
    publish(subject, message) {
      if (!listeners.has(subject)) return;
      if (sent.length === 0) setImmediate(deliver);
      sent.push({ subject, message });
    },
    subscribe(subject, onMessage) {
      if (!subjectForm.test(subject)) {
        throw new LonghaulError("invalid_argument", "a live subject is made of dot-separated tokens of letters, digits, - and _");
      }
      const listener = { onMessage };
      const those = listeners.get(subject) ?? new Set();
      those.add(listener);
      listeners.set(subject, those);
      return {
        ready: Promise.resolve(),
        close() {
          those.delete(listener);
          if (those.size === 0 && listeners.get(subject) === those) listeners.delete(subject);
        },
      };
    },
    onGap: () => () => {},
  };
}
