/** One instruction of a Dockerfile, in the subset that this repository uses. */
export type Instruction =
  | { readonly kind: "run"; readonly command: string }
  | {
      readonly kind: "copy";
      readonly from?: string;
      readonly chown?: string;
      readonly sources: readonly string[];
      readonly to: string;
    }
  | { readonly kind: "workdir"; readonly path: string }
  | { readonly kind: "env"; readonly vars: Readonly<Record<string, string>> }
  | { readonly kind: "user"; readonly user: string }
  | { readonly kind: "entrypoint"; readonly argv: readonly string[] }
  | { readonly kind: "expose"; readonly port: string }
  | { readonly kind: "volume"; readonly path: string };

export interface Stage {
  /** An image, or the name of an earlier stage. */
  readonly base: string;
  readonly name?: string;
  /** Each with its text, for telling equal stages. */
  readonly instructions: readonly (Instruction & { readonly text: string })[];
}

/** Reads a Dockerfile. Throws an Error that names the line for what lies outside of the subset, rather than passing over it. */
export function readDockerfile(text: string): readonly Stage[] {
  const args: Record<string, string> = {};
  const stages: { base: string; name?: string; instructions: (Instruction & { text: string })[] }[] = [];
  for (const { line, at } of logicalLines(text)) {
    const [word = "", rest = ""] = split(line);
    const fault = (why: string): Error => new Error(`line ${at}: ${why}: ${line}`);
    const stage = stages.at(-1);
    if (word === "ARG") {
      const [, name, value] = /^([A-Z_]+)=(\S+)$/.exec(rest) ?? [];
      if (stage || !name || !value) throw fault("only ARG NAME=value before the first FROM is understood");
      args[name] = value;
    } else if (word === "FROM") {
      const [, base = "", name] = /^(\S+)(?: AS (\S+))?$/.exec(rest) ?? [];
      if (!base) throw fault("FROM is not understood");
      const resolved = base.replace(/^\$\{([A-Z_]+)\}$/, (_, name: string) => args[name] ?? "");
      if (!resolved || resolved.includes("$")) throw fault("the base is not known");
      stages.push({ base: resolved, instructions: [], ...(name !== undefined && { name }) });
    } else {
      if (!stage) throw fault("an instruction stands before the first FROM");
      const read = instruction(word, rest);
      if (typeof read === "string") throw fault(read);
      stage.instructions.push({ ...read, text: line });
    }
  }
  return stages;
}

function instruction(word: string, rest: string): Instruction | string {
  switch (word) {
    case "RUN":
      return rest.startsWith("[") || rest.startsWith("--")
        ? "only the shell form of RUN is understood"
        : { kind: "run", command: rest };
    case "COPY": {
      const words = rest.split(/\s+/);
      const flags = Object.fromEntries(words.filter((one) => one.startsWith("--")).map((one) => one.slice(2).split("=", 2)));
      const { from, chown, ...others } = flags;
      const paths = words.filter((one) => !one.startsWith("--"));
      const to = paths.pop();
      if (Object.keys(others).length > 0 || to === undefined || paths.length === 0) return "COPY is not understood";
      return { kind: "copy", sources: paths, to, ...(from && { from }), ...(chown && { chown }) };
    }
    case "WORKDIR":
      return { kind: "workdir", path: rest };
    case "ENV": {
      const pairs = rest.split(/\s+/).map((pair) => /^([A-Z_]+)=([^"'$\\]*)$/.exec(pair));
      const vars: Record<string, string> = {};
      for (const pair of pairs) {
        if (!pair?.[1] || pair[2] === undefined) return "only ENV NAME=value is understood";
        vars[pair[1]] = pair[2];
      }
      return { kind: "env", vars };
    }
    case "USER":
      return { kind: "user", user: rest };
    case "ENTRYPOINT": {
      const argv: unknown = rest.startsWith("[") ? JSON.parse(rest) : undefined;
      if (!Array.isArray(argv) || !argv.every((one) => typeof one === "string")) return "ENTRYPOINT must have the exec form";
      return { kind: "entrypoint", argv };
    }
    case "EXPOSE":
      return { kind: "expose", port: rest };
    case "VOLUME":
      return { kind: "volume", path: rest };
    default:
      return "the instruction is not understood";
  }
}

function logicalLines(text: string): readonly { readonly line: string; readonly at: number }[] {
  const found: { line: string; at: number }[] = [];
  let open: { line: string; at: number } | undefined;
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    const goesOn = line.endsWith("\\");
    const part = goesOn ? line.slice(0, -1).trimEnd() : line;
    if (open) open.line += ` ${part}`;
    else open = { line: part, at: index + 1 };
    if (goesOn) continue;
    found.push(open);
    open = undefined;
  }
  return found;
}

function split(line: string): readonly [string, string] {
  const space = line.search(/\s/);
  return space < 0 ? [line.toUpperCase(), ""] : [line.slice(0, space).toUpperCase(), line.slice(space).trim()];
}
