import { defineConfig } from "vitest/config";

const resolve = { conditions: ["@longhaul/source", "node", "import", "default"] };
const ssr = { resolve };
// Starts MongoDB and NATS once per run; see packages/testkit.
const globalSetup = ["./packages/testkit/src/servers/vitest-setup.ts"];

// One kind after the other, so that whole systems are not tested beside two other workers on two cores.
// `unit` needs nothing; `servers` needs MongoDB and NATS (packages/testkit finds them); `system` runs whole services.
export default defineConfig({
  resolve,
  ssr,
  test: {
    projects: [
      {
        resolve,
        ssr,
        test: {
          name: "unit",
          sequence: { groupOrder: 0 },
          include: ["{packages,services,bench}/**/src/**/*.test.ts", "scripts/**/*.test.ts"],
          exclude: ["**/*.{mongo,nats}.test.ts", "**/node_modules/**", "**/dist/**"],
          testTimeout: 30_000,
        },
      },
      {
        resolve,
        ssr,
        test: {
          name: "servers",
          sequence: { groupOrder: 1 },
          globalSetup,
          include: ["{packages,services}/*/src/**/*.{mongo,nats}.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        resolve,
        ssr,
        test: {
          name: "system",
          sequence: { groupOrder: 2 },
          globalSetup,
          include: ["tests/**/*.test.ts", "examples/**/*.test.ts", "deploy/**/*.test.ts"],
          exclude: ["**/node_modules/**"],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
