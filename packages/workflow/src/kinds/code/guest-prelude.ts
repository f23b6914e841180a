/**
 * What runs inside the sandbox before the author's code: a function of `(emit, hasClock, outputLength)` that puts `console` in place and
 * answers the few functions by which the host works. They hold on to the built-ins as they are now, touch no prototype that the author's code
 * may change, and speak to the host in strings and booleans alone.
 *
 * - `run(module, input)`: waits for the module, calls its default export with the parsed input, waits for the result, makes it JSON text.
 * - `state()`: `pending`, `done`, `failed`, `invalid`, `large` or `starved`; `text()`: the JSON text, the error as JSON text
 *   `{ name, message, stack }`, or the sentence.
 */
export const guestPrelude = String.raw`(function (emit, hasClock, outputLength) {
  "use strict";
  const { parse, stringify } = JSON;
  const { isArray } = Array;
  const { isFinite } = Number;
  const { construct, defineProperty } = Reflect;
  const toText = String;
  const ErrorType = Error;
  const isView = ArrayBuffer.isView;
  const uncurry = Function.prototype.bind.bind(Function.prototype.call);
  const slice = uncurry(String.prototype.slice);
  const indexOf = uncurry(String.prototype.indexOf);
  // JSON would make {} of these, and so lose what is in them without a word.
  const opaque = [["a Map", Map], ["a Set", Set], ["a WeakMap", WeakMap], ["a WeakSet", WeakSet], ["a Promise", Promise],
    ["a RegExp", RegExp], ["an Error", Error], ["an ArrayBuffer", ArrayBuffer]];
  const maxDepth = 60;
  const fault = { __proto__: null };
  let sentence = "";

  function invalid(what, frame, key) {
    let path = "";
    for (let at = frame; at !== undefined && at.up !== undefined; at = at.up) path = "/" + at.key + path;
    if (frame !== undefined) path += "/" + key;
    sentence = "the result has " + what + (path === "" ? "" : " at " + slice(path, 0, 200)) + ", which is not JSON";
    throw fault;
  }

  function nameOf(item) {
    for (let i = 0; i < 8; i++) if (item instanceof opaque[i][1]) return opaque[i][0];
    return isView(item) ? "binary data" : undefined;
  }

  function encode(value) {
    let top;
    return stringify(value, function (key, item) {
      while (top !== undefined && top.value !== this) top = top.up;
      switch (typeof item) {
        case "string":
        case "boolean":
          return item;
        case "number":
          if (!isFinite(item)) invalid(toText(item), top, key);
          return item;
        case "undefined":
          if (top === undefined || isArray(this)) invalid("undefined", top, key);
          return item;
        case "object":
          break;
        default:
          invalid("a " + typeof item, top, key);
      }
      if (item === null) return item;
      const name = nameOf(item);
      if (name !== undefined) invalid(name, top, key);
      for (let at = top; at !== undefined; at = at.up) if (at.value === item) invalid("a circle", top, key);
      top = { __proto__: null, value: item, key, up: top, depth: top === undefined ? 1 : top.depth + 1 };
      if (top.depth > maxDepth) invalid("more than " + maxDepth + " levels", undefined, "");
      return item;
    });
  }

  function cut(value) {
    return typeof value === "string" ? slice(value, 0, 2000) : "";
  }

  function show(value) {
    if (typeof value === "string") return value;
    try {
      if (value instanceof ErrorType) {
        const stack = cut(value.stack);
        // Below its own frames stand those of this prelude.
        const own = indexOf(stack, "    at run (prelude");
        const shown = own < 0 ? stack : slice(stack, 0, own > 0 ? own - 1 : 0);
        return cut(value.name) + ": " + cut(value.message) + (shown === "" ? "" : "\n" + shown);
      }
      if (typeof value === "object") {
        const text = stringify(value);
        if (text !== undefined) return text;
      }
    } catch (_) {}
    try {
      return toText(value);
    } catch (_) {
      return "[something that cannot be shown]";
    }
  }

  function describe(thrown) {
    const told = { __proto__: null, name: "", message: "", stack: "" };
    try {
      if (thrown instanceof ErrorType) {
        told.name = cut(thrown.name);
        told.message = cut(thrown.message);
        told.stack = cut(thrown.stack);
      } else told.message = "the code threw " + cut(show(thrown));
    } catch (_) {
      told.message = "the code threw something that cannot be shown";
    }
    return stringify(told);
  }

  let open = true;
  function printer(prefix) {
    return function (...values) {
      if (!open) return;
      let line = prefix;
      for (let i = 0; i < values.length && line.length < 8192; i++) line += (i > 0 ? " " : "") + slice(show(values[i]), 0, 8192);
      open = emit(line);
    };
  }
  defineProperty(globalThis, "console", {
    value: { log: printer(""), info: printer(""), debug: printer(""), warn: printer("warn: "), error: printer("error: ") },
    writable: true, enumerable: false, configurable: true,
  });

  // Memory that threads share, and what waits on it, has no use here.
  delete globalThis.SharedArrayBuffer;
  delete globalThis.Atomics;

  if (!hasClock) {
    const Original = Date;
    const noClock = () => {
      throw new ErrorType("there is no clock here; give the time as now in the node's with");
    };
    const Guarded = function Date(...values) {
      if (new.target === undefined || values.length === 0) noClock();
      return construct(Original, values, new.target);
    };
    const hidden = (object, key, value) => defineProperty(object, key, { value, writable: true, enumerable: false, configurable: true });
    hidden(Guarded, "UTC", Original.UTC);
    hidden(Guarded, "parse", Original.parse);
    hidden(Guarded, "now", function now() { noClock(); });
    defineProperty(Guarded, "length", { value: 7, writable: false, enumerable: false, configurable: true });
    defineProperty(Guarded, "prototype", { value: Original.prototype, writable: false, enumerable: false, configurable: false });
    hidden(Original.prototype, "constructor", Guarded);
    hidden(globalThis, "Date", Guarded);
  }

  let state = "pending";
  let text = "";
  async function run(module, input) {
    try {
      const { default: main } = await module;
      if (typeof main !== "function") {
        state = "failed";
        text = stringify({ __proto__: null, name: "", stack: "",
          message: "the source has no default export that is a function; write export default function (input) { ... }" });
        return;
      }
      const value = await main(parse(input));
      if (value === undefined) {
        sentence = "the function returned nothing (undefined); return null where there is nothing to say";
        throw fault;
      }
      const result = encode(value);
      if (result === undefined) invalid("nothing in it", undefined, "");
      if (result.length > outputLength) state = "large";
      else {
        text = result;
        state = "done";
      }
    } catch (thrown) {
      if (thrown === fault) {
        text = sentence;
        state = "invalid";
      } else {
        // Where memory is still short, there is none to describe it with.
        state = "starved";
        text = describe(thrown);
        state = "failed";
      }
    }
  }
  return { __proto__: null, run, state: () => state, text: () => text };
})`;
