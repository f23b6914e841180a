import { expect, test } from "vitest";
import { afterFailure, afterSign, circuitRule, circuitState } from "./circuit.ts";
import { endpointOf, projectOfEndpoint, shownUrl } from "./endpoint-of.ts";

const fresh = { endpoint: "acme https://a.example", consecutiveFailures: 0 };

function fail(times: number, at = 0, from: Parameters<typeof afterFailure>[0] = fresh) {
  let endpoint = from;
  for (let i = 0; i < times; i++) endpoint = afterFailure(endpoint, at, 0);
  return endpoint;
}

test("the circuit opens with the fifth failure in a row and not before", () => {
  expect(circuitState(fail(4), 0)).toBe("closed");
  const open = fail(5);
  expect(circuitState(open, 0)).toBe("open");
  expect(open.pausedUntil).toBe(circuitRule.pauseMs);
});

test("failures of messages that were under way when it opened do not prolong the pause", () => {
  expect(fail(50)).toEqual(fail(5));
});

test("each failed probe doubles the pause, up to a quarter of an hour", () => {
  let endpoint = fail(5);
  const pauses: number[] = [];
  for (let i = 0; i < 10; i++) {
    const at = endpoint.pausedUntil ?? 0;
    expect(circuitState(endpoint, at)).toBe("half-open");
    endpoint = afterFailure(endpoint, at, 0);
    pauses.push((endpoint.pausedUntil ?? 0) - at);
  }
  expect(pauses).toEqual([20_000, 40_000, 80_000, 160_000, 320_000, 640_000, 900_000, 900_000, 900_000, 900_000]);
});

test("any answer closes it and forgets the failures", () => {
  expect(afterSign(fail(5))).toEqual(fresh);
});

test("a receiver that asks for a longer pause gets it, up to a day", () => {
  expect(afterFailure(fail(4), 0, 3_600_000).pausedUntil).toBe(3_600_000);
  expect(afterFailure(fail(4), 0, 1e12).pausedUntil).toBe(86_400_000);
  expect(afterFailure(fail(3), 0, 3_600_000).pausedUntil).toBeUndefined();
});

test("endpoints are project and origin, whatever the path", () => {
  expect(endpointOf("acme", "https://a.example/x?y")).toBe("acme https://a.example");
  expect(endpointOf("acme", "https://a.example:443/z")).toBe("acme https://a.example");
  expect(endpointOf("other", "https://a.example/x")).not.toBe(endpointOf("acme", "https://a.example/x"));
  expect(endpointOf("acme", "not a url")).toBe("acme invalid");
  expect(projectOfEndpoint(endpointOf("acme", "https://a.example"))).toBe("acme");
});

test("a shown URL carries no credentials", () => {
  expect(shownUrl("https://user:pass@a.example/x?y=1")).toBe("https://a.example/x?y=1");
  expect(shownUrl("https://a.example/x")).toBe("https://a.example/x");
  expect(shownUrl("no url")).toBe("no url");
});
