// A worker as a process of its own: serves one function until it is killed. LONGHAUL_URL, WORKER (its name), FUNCTION, and MODE:
// `answer` answers at once, `hold` never does.
import { worker } from "@longhaul/client";

const { LONGHAUL_URL: url, WORKER: name, FUNCTION: served, MODE: mode } = process.env;
const say = (what) => process.stdout.write(`${what}\n`);

const one = worker({
  url,
  name,
  functions: {
    [served]: {
      async handler(_input, { tries, signal }) {
        say(`begun ${tries}`);
        if (mode === "hold") {
          await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
          say(`stopped: ${signal.reason.message}`);
        }
        return { by: name, tries };
      },
    },
  },
});
process.once("SIGTERM", () => {
  one.stop({ drainMs: 0 }).then(() => say("drained"));
});
await one.start();
say("serves");
