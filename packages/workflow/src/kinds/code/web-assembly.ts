import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

/** A compiled WebAssembly module; what is in it concerns the interpreter alone. */
export interface WasmModule {
  readonly [Symbol.toStringTag]?: string;
}

/** Memory of a WebAssembly instance. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
}

// Node has it, but its types leave it to those of browsers, which would bring a window along.
declare const WebAssembly: { readonly Module: new (bytes: Uint8Array) => WasmModule };

/** The interpreter, compiled. */
export function compileInterpreter(): WasmModule {
  return new WebAssembly.Module(readFileSync(createRequire(import.meta.url).resolve("quickjs-wasi/quickjs.wasm")));
}
