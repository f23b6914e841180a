import { afterAll, beforeAll } from "vitest";
import { type Api, api } from "./api.ts";
import { type Hooks, hooks } from "./hooks.ts";
import { type Outside, outside } from "./outside.ts";
import type { System } from "./system.ts";

/** Everything a file of tests needs, started once and stopped at its end. Throws when read before. */
export interface Stage {
  readonly system: System;
  readonly api: Api;
  /** A caller for each gateway. */
  readonly apis: readonly Api[];
  readonly outside: Outside;
  readonly hooks: Hooks;
}

export function stage(start: () => Promise<System>): Stage {
  const made: { system?: System; apis?: readonly Api[]; outside?: Outside; hooks?: Hooks } = {};
  beforeAll(async () => {
    [made.outside, made.hooks, made.system] = await Promise.all([outside(), hooks(), start()]);
    made.apis = made.system.urls.map((url) => api(url));
  });
  afterAll(async () => {
    await Promise.all(made.apis?.map((one) => one.close()) ?? []);
    await Promise.all([made.system?.stop(), made.outside?.stop(), made.hooks?.stop()]);
  });
  const there = <K extends keyof typeof made>(key: K): NonNullable<(typeof made)[K]> => {
    const found = made[key];
    if (!found) throw new Error(`${key} is not there before the tests begin`);
    return found;
  };
  return {
    get system() {
      return there("system");
    },
    get api() {
      const [first] = there("apis");
      if (!first) throw new Error("there is no gateway");
      return first;
    },
    get apis() {
      return there("apis");
    },
    get outside() {
      return there("outside");
    },
    get hooks() {
      return there("hooks");
    },
  };
}
