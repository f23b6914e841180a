import { EvalFlags, Intrinsics, JSException, type JSValueHandle, MAX_STACK_SIZE, QuickJS } from "quickjs-wasi";
import { guestPrelude } from "./guest-prelude.ts";
import type { SandboxFault, SandboxRequest, SourcePlace } from "./sandbox-messages.ts";
import { compileInterpreter, type WasmMemory, type WasmModule } from "./web-assembly.ts";

export type SandboxOutcome =
  | { readonly ok: true; readonly output: string }
  | { readonly ok: false; readonly fault: SandboxFault };

const intrinsics = Intrinsics.ALL & ~Intrinsics.PERFORMANCE & ~Intrinsics.WEAK_REF;

interface Kit {
  readonly vm: QuickJS;
  /** True once the time was up, whatever the code made of it. */
  readonly late: () => boolean;
  call(name: string, ...values: readonly JSValueHandle[]): JSValueHandle;
}

/** What all runs of a thread share: compiled code, nothing that a run could change. */
export interface Interpreter {
  readonly wasm: WasmModule;
  /** The prelude as bytecode of the interpreter. */
  readonly prelude: Uint8Array;
}

/** Loads and compiles the interpreter and its prelude: once per thread, some 20 ms. */
export async function loadInterpreter(): Promise<Interpreter> {
  const wasm = compileInterpreter();
  const vm = await QuickJS.create({ wasm });
  return { wasm, prelude: vm.compile(guestPrelude, "prelude") };
}

/**
 * Runs one module in an interpreter of its own: a fresh WebAssembly instance with its own memory, so that nothing is left of earlier runs and
 * nothing remains of this one, however it ends. `log` gets each console line and answers whether more are wanted. May not return where the
 * code keeps the interpreter inside one long built-in call: whoever calls it must be able to end the thread.
 */
export async function runInSandbox(
  interpreter: Interpreter,
  request: SandboxRequest,
  log: (text: string) => boolean,
): Promise<SandboxOutcome> {
  const started = performance.now();
  let late = false;
  try {
    const vm = await startInterpreter(interpreter, request, () => {
      late ||= performance.now() - started > request.limitMs;
      return late;
    });
    const kit = installKit(vm, interpreter, request, log, () => late);
    return late ? failed({ kind: "timeout" }) : runModule(kit, request);
  } catch (error) {
    return failed(late ? { kind: "timeout" } : faultOfThrown(error));
  }
}

async function startInterpreter(
  { wasm }: Interpreter,
  request: SandboxRequest,
  interruptHandler: () => boolean,
): Promise<QuickJS> {
  // The interpreter seeds Math.random from the clock when it starts, so the clock says the seed until then.
  let clockNs = BigInt(request.seed) * 1000n;
  const vm = await QuickJS.create({
    wasm,
    memoryLimit: request.memoryBytes,
    maxStackSize: MAX_STACK_SIZE,
    timezoneOffset: 0,
    intrinsics,
    interruptHandler,
    moduleLoader: { load: refuseImport },
    wasi: (memory: WasmMemory) => ({
      clock_time_get(_clock: number, _precision: bigint, at: number) {
        new DataView(memory.buffer).setBigUint64(at, clockNs, true);
        return 0;
      },
      random_get(at: number, length: number) {
        new Uint8Array(memory.buffer, at, length).fill(0);
        return 0;
      },
      // What the interpreter itself would print goes nowhere.
      fd_write: () => badFile,
    }),
  });
  clockNs = BigInt(request.nowMs ?? 0) * 1_000_000n;
  return vm;
}

const badFile = 8;

function refuseImport(name: string): never {
  const error = new Error(
    `cannot import ${JSON.stringify(name.slice(0, 100))}: a code node has no modules, all of it is in source`,
  );
  // It is copied into the sandbox as it is, and a stack of the host has no place there.
  error.stack = "";
  throw error;
}

function installKit(
  vm: QuickJS,
  { prelude }: Interpreter,
  request: SandboxRequest,
  log: (text: string) => boolean,
  late: () => boolean,
): Kit {
  const emit = vm.newFunction("emit", (line) => {
    const more = line?.isString === true && log(line.toString());
    return more ? vm.true : vm.false;
  });
  const clock = request.nowMs === undefined ? vm.false : vm.true;
  const install = vm.evalBytecode(prelude);
  const functions = vm.callFunction(install, vm.undefined, emit, clock, vm.newNumber(request.outputBytes));
  return { vm, late, call: (name, ...values) => vm.callFunction(functions.getProp(name), vm.undefined, ...values) };
}

function runModule(kit: Kit, request: SandboxRequest): SandboxOutcome {
  const { vm } = kit;
  const input = vm.newString(request.input);
  if (!input.isString) return failed({ kind: "memory" });
  const module = vm.evalCode(request.source, sourceName, EvalFlags.TYPE_MODULE);
  kit.call("run", module, input);
  vm.executePendingJobs();
  if (kit.late()) return failed({ kind: "timeout" });
  return outcomeOf(kit, request);
}

function outcomeOf(kit: Kit, { outputBytes }: SandboxRequest): SandboxOutcome {
  const state = kit.call("state").toString();
  if (state === "pending") return failed({ kind: "never_settles", message: neverSettles });
  if (state === "starved") return failed({ kind: "memory" });
  if (state === "large") return failed({ kind: "output_too_large" });
  const text = kit.call("text").toString();
  if (state === "failed") return failed(faultOf(readTold(text)));
  if (state === "invalid") return failed({ kind: "invalid_output", message: text });
  return Buffer.byteLength(text) > outputBytes ? failed({ kind: "output_too_large" }) : { ok: true, output: text };
}

const sourceName = "source";

const neverSettles =
  "the code waits for a promise that never settles; there are no timers and nothing outside that could settle it";

function failed(fault: SandboxFault): SandboxOutcome {
  return { ok: false, fault };
}

/** An error of the author's code, as the sandbox or the interpreter told it. */
interface Told {
  readonly name: string;
  readonly message: string;
  readonly stack: string;
}

function readTold(text: string): Told {
  const { name, message, stack }: Partial<Record<string, unknown>> = JSON.parse(text);
  return { name: String(name), message: String(message), stack: String(stack) };
}

function faultOf({ name, message, stack }: Told): SandboxFault {
  if (name === "InternalError" && message === "out of memory") return { kind: "memory" };
  return { kind: "error", name, message, place: placeIn(stack) };
}

function placeIn(stack: string): SourcePlace | undefined {
  const [, line, column] = /\bsource:(\d{1,9}):(\d{1,9})/.exec(stack) ?? [];
  return line === undefined ? undefined : { line: Number(line), column: Number(column) };
}

/** What came out of the interpreter: an exception of the code, a job of it that threw, or a failure of the interpreter itself. */
function faultOfThrown(error: unknown): SandboxFault {
  if (error instanceof JSException)
    return faultOf({ name: error.name.slice(0, 200), message: error.message.slice(0, 2000), stack: error.stack ?? "" });
  const message = error instanceof Error ? error.message : "the interpreter failed";
  const [, name = "", thrown] = /^Job execution error: (?:(\w+): )?([\s\S]*)$/.exec(message) ?? [];
  if (thrown !== undefined) return faultOf({ name, message: thrown.slice(0, 2000), stack: "" });
  // Its instance is dropped, so the next run knows nothing of what broke it.
  if (error instanceof RangeError)
    return { kind: "error", name: "RangeError", message: "the code recurses too deeply", place: undefined };
  return { kind: "crashed", message: message.slice(0, 500) };
}
