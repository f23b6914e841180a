import { isIP } from "node:net";
import { LonghaulError } from "@longhaul/core";
import { type Setting, type SettingName, type SettingOf, settings } from "./settings.ts";

export type Env = Readonly<Record<string, string | undefined>>;

/** An API key given by environment. */
export interface ApiKeySetting {
  readonly project: string;
  readonly key: string;
}

/** Typed readers. A reader that finds a fault notes it and answers a stand-in; `readEnv` throws at the end, so the stand-in is never used. */
export interface Vars {
  /** Its value or default; a fault when it has neither. */
  text(name: SettingOf<"text" | "choice">): string;
  /** Its value or default, else undefined. */
  optional(name: SettingOf<"text">): string | undefined;
  url(name: SettingOf<"url">): string;
  optionalUrl(name: SettingOf<"url">): string | undefined;
  int(name: SettingOf<"int">): number;
  bool(name: SettingOf<"bool">): boolean;
  /** Comma separated; empty when unset. */
  list(name: SettingOf<"list">): readonly string[];
  /** Comma separated networks such as `10.0.0.0/8` or `fd00::/8`; a bare address stands for itself. Empty when unset. */
  cidrs(name: SettingOf<"cidrs">): readonly string[];
  /** One or two keys of 32 bytes; empty when unset. */
  secretKeys(name: SettingOf<"secretKeys">): readonly Uint8Array[];
  apiKeys(name: SettingOf<"apiKeys">): readonly ApiKeySetting[];
  /** Notes a fault that only the whole configuration shows. A sentence; it must not quote a secret. */
  fault(name: SettingName, sentence: string): void;
}

/**
 * Reads a configuration from the environment: `build` asks for what it needs, and every fault found is reported in one
 * LonghaulError (`invalid_argument`, a fault per variable), which never quotes the value of a secret. An empty variable counts as unset.
 */
export function readEnv<Config>(env: Env, build: (vars: Vars) => Config): Config {
  const faults: { name: SettingName; sentence: string }[] = [];
  const fault = (name: SettingName, sentence: string): void => void faults.push({ name, sentence });
  const config = build(varsOf(env, fault));
  if (faults.length === 0) return Object.freeze(config);
  const lines = faults.map((one) => `  ${one.name}: ${one.sentence}`);
  throw new LonghaulError(
    "invalid_argument",
    `the configuration has ${faults.length === 1 ? "a fault" : "faults"}:\n${lines.join("\n")}`,
    {
      faults: faults.map((one) => ({ pointer: `/${one.name}`, message: one.sentence })),
    },
  );
}

function varsOf(env: Env, fault: Vars["fault"]): Vars {
  const raw = (name: SettingName): string | undefined => env[name]?.trim() || undefined;
  const shown = (name: SettingName, value: string): string =>
    (settings[name] as Setting).secret ? "its value" : JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
  const parts = (name: SettingName): string[] =>
    (raw(name) ?? "")
      .split(",")
      .map((part) => part.trim())
      .filter((part) => part !== "");

  const optionalUrl = (name: SettingOf<"url">): string | undefined => {
    const value = raw(name);
    if (value === undefined) return undefined;
    const { schemes } = settings[name];
    // MongoDB and NATS take several hosts, comma separated, which URL refuses; the first one stands for all.
    const parsed = parseUrl(value.replace(/^([^,/]+:\/\/[^,/]+)(?:,[^/]*)/, "$1"));
    if (parsed && (schemes as readonly string[]).includes(parsed.protocol)) return value;
    fault(name, `${shown(name, value)} is not a URL that starts with ${schemes.map((s) => `${s}//`).join(" or ")}`);
    return value;
  };

  return {
    fault,
    optional(name) {
      const setting: Setting = settings[name];
      return raw(name) ?? (setting.kind === "text" ? setting.or : undefined);
    },
    text(name) {
      const setting: Setting = settings[name];
      const value = raw(name);
      if (setting.kind === "choice") {
        if (value !== undefined && !setting.choices.includes(value)) {
          fault(name, `${shown(name, value)} is none of ${setting.choices.join(", ")}`);
        }
        return value ?? setting.or;
      }
      const or = setting.kind === "text" ? setting.or : undefined;
      if (value === undefined && or === undefined) fault(name, `is required: ${setting.about}`);
      return value ?? or ?? "";
    },
    optionalUrl,
    url(name) {
      const value = optionalUrl(name);
      if (value === undefined) fault(name, `is required: ${settings[name].about}`);
      return value ?? "";
    },
    int(name) {
      const { min, max, or } = settings[name];
      const value = raw(name);
      if (value === undefined) return or;
      const number = /^-?\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
      if (number >= min && number <= max) return number;
      fault(name, `${shown(name, value)} is not a whole number from ${min} to ${max}`);
      return or;
    },
    bool(name: SettingName) {
      const value = raw(name);
      const setting = settings[name] as Setting;
      const or = setting.kind === "bool" && setting.or;
      if (value === undefined) return or;
      if (value === "true" || value === "1") return true;
      if (value === "false" || value === "0") return false;
      fault(name, `${shown(name, value)} is neither true nor false`);
      return or;
    },
    list: parts,
    cidrs(name) {
      for (const part of parts(name)) {
        if (!isCidr(part)) fault(name, `${shown(name, part)} is not a network such as 10.0.0.0/8 or fd00::/8`);
      }
      return parts(name);
    },
    secretKeys(name) {
      const found = parts(name);
      if (found.length > 2) fault(name, "holds more than two keys");
      return found.map((part, at) => {
        const key = decodeKey(part);
        if (key.length !== 32) {
          fault(name, `key ${at + 1} is not 32 bytes in base64 or hex; \`openssl rand -base64 32\` makes one`);
        }
        return key;
      });
    },
    apiKeys(name) {
      return parts(name).map((part, at) => {
        const [project = "", key = "", ...more] = part.split("=");
        if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(project) || !/^lh_[A-Za-z0-9_-]{16,}$/.test(key) || more.length > 0) {
          fault(name, `entry ${at + 1} is not project=lh_... with at least 16 letters, digits, _ or - after lh_`);
        }
        return { project, key };
      });
    },
  };
}

function parseUrl(value: string): URL | undefined {
  return URL.canParse(value) ? new URL(value) : undefined;
}

function isCidr(text: string): boolean {
  const [address = "", bits, ...more] = text.split("/");
  const family = isIP(address);
  if (family === 0 || more.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}

function decodeKey(text: string): Uint8Array {
  if (/^[0-9a-fA-F]{64}$/.test(text)) return Buffer.from(text, "hex");
  return /^[A-Za-z0-9+/_-]{43}=?$/.test(text) ? Buffer.from(text, "base64") : new Uint8Array();
}
