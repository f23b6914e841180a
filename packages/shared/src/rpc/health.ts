import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@longhaul/proto/grpc/health/v1/health_pb";
import type { Readiness } from "../lifecycle/readiness.ts";

/** Serves `grpc.health.v1.Health` from the process's readiness; `services` are the full names it answers for besides the empty one. */
export function serveHealth(router: ConnectRouter, ready: Readiness, services: ReadonlySet<string>): void {
  const isKnown = (name: string): boolean => name === "" || services.has(name);
  const status = (isReady: boolean) => ({ status: isReady ? Status.SERVING : Status.NOT_SERVING });
  router.service(Health, {
    check({ service }) {
      if (!isKnown(service)) throw new ConnectError(`no service ${service} here`, Code.NotFound);
      return status(ready.isReady());
    },
    async *watch({ service }, { signal }) {
      if (!isKnown(service)) yield { status: Status.SERVICE_UNKNOWN };
      let wake = (): void => {};
      // Latest value only: a reader that is slow misses what changed back meanwhile.
      let next = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const off = ready.onChange(() => wake());
      const onAbort = (): void => wake();
      signal.addEventListener("abort", onAbort, { once: true });
      let said: boolean | undefined;
      try {
        while (!signal.aborted) {
          const current = next;
          const isReady = ready.isReady();
          if (isKnown(service) && isReady !== said) yield status(isReady);
          said = isReady;
          await current;
          next = new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      } finally {
        off();
        signal.removeEventListener("abort", onAbort);
      }
    },
  });
}
