import { type JinjaToken, jinjaTokens, UnsupportedJinja } from "./jinja-tokens.ts";
import { celString, hasMember, member } from "./template-text.ts";

/** A CEL expression, and what is known of its value. */
export interface Cel {
  readonly source: string;
  readonly kind: "text" | "truth" | "number" | "any";
  /** For `a.b`: the expression that is true when the key is there. */
  readonly presence?: string;
}

/** Variables in sight: their expressions. */
export type Variables = ReadonlyMap<string, Cel>;

/** Told what works a little differently here. */
export type Note = (what: string, reason: string, mend: string) => void;

/** Turns an expression of Jinja2 into CEL. Throws UnsupportedJinja. */
export function jinjaExpression(source: string, variables: Variables, note: Note): Cel {
  const reader = new Reader(jinjaTokens(source), variables, note);
  const found = reader.conditional();
  reader.expectEnd();
  return found;
}

/** What Python takes as true, as a CEL truth value. */
export function truthOf({ source, kind }: Cel): string {
  if (kind === "truth") return source;
  if (kind === "text") return `(${source} != "")`;
  if (kind === "number") return `(${source} != 0)`;
  return `!(${source} == null || ${source} == false || ${source} == 0 || ${source} == "" || ${source} == [] || ${source} == {})`;
}

/** The value as text inside an expression. */
export function textOfCel({ source, kind }: Cel): string {
  return kind === "text" ? source : `string(${source})`;
}

const any = (source: string): Cel => ({ source, kind: "any" });
const text = (source: string): Cel => ({ source, kind: "text" });
const truth = (source: string): Cel => ({ source, kind: "truth" });
const numeric = (source: string): Cel => ({ source, kind: "number" });

const constants: ReadonlyMap<string, Cel> = new Map([
  ["true", truth("true")],
  ["True", truth("true")],
  ["false", truth("false")],
  ["False", truth("false")],
  ["none", any("null")],
  ["None", any("null")],
]);

const comparisons: ReadonlySet<string> = new Set(["==", "!=", "<", ">", "<=", ">="]);
const maxDepth = 50;

class Reader {
  private at = 0;
  private depth = 0;
  private readonly tokens: readonly JinjaToken[];
  private readonly variables: Variables;
  private readonly note: Note;

  constructor(tokens: readonly JinjaToken[], variables: Variables, note: Note) {
    this.tokens = tokens;
    this.variables = variables;
    this.note = note;
  }

  private peek(): JinjaToken {
    return this.tokens[this.at] ?? { kind: "end", value: "" };
  }

  private take(): JinjaToken {
    const token = this.peek();
    this.at++;
    return token;
  }

  private accept(value: string): boolean {
    const token = this.peek();
    if (token.value !== value || (token.kind !== "sign" && token.kind !== "name")) return false;
    this.at++;
    return true;
  }

  private expect(value: string): void {
    if (!this.accept(value)) throw new UnsupportedJinja(`${value} is missing before ${JSON.stringify(this.peek().value)}`);
  }

  expectEnd(): void {
    const token = this.peek();
    if (token.kind !== "end") throw new UnsupportedJinja(`${JSON.stringify(token.value)} is not understood there`);
  }

  conditional(): Cel {
    if (++this.depth > maxDepth) throw new UnsupportedJinja("an expression is nested too deeply");
    const value = this.or();
    this.depth--;
    if (!this.accept("if")) return value;
    const condition = this.or();
    const other = this.accept("else") ? this.conditional() : text('""');
    const kind = value.kind === other.kind ? value.kind : "any";
    return { source: `(${truthOf(condition)} ? ${value.source} : ${other.source})`, kind };
  }

  private or(): Cel {
    let left = this.and();
    while (this.accept("or")) {
      const right = this.and();
      left = bothTruth(left, right)
        ? truth(`(${left.source} || ${right.source})`)
        : any(`(${truthOf(left)} ? ${left.source} : ${right.source})`);
    }
    return left;
  }

  private and(): Cel {
    let left = this.not();
    while (this.accept("and")) {
      const right = this.not();
      left = bothTruth(left, right)
        ? truth(`(${left.source} && ${right.source})`)
        : any(`(${truthOf(left)} ? ${right.source} : ${left.source})`);
    }
    return left;
  }

  private not(): Cel {
    return this.accept("not") ? truth(`!(${truthOf(this.not())})`) : this.comparison();
  }

  private comparison(): Cel {
    const left = this.sum();
    const sign = this.peek().value;
    if (this.peek().kind === "sign" && comparisons.has(sign)) {
      this.at++;
      return truth(`(${left.source} ${sign} ${this.sum().source})`);
    }
    if (this.accept("is")) return this.test(left);
    const negated = this.peek().value === "not" && this.tokens[this.at + 1]?.value === "in";
    if (negated) this.at++;
    if (!this.accept("in")) return left;
    const right = this.sum();
    const found =
      right.kind === "text"
        ? `${right.source}.contains(${left.source})`
        : `(type(${right.source}) == string ? ${right.source}.contains(${textOfCel(left)}) : ${left.source} in ${right.source})`;
    return truth(negated ? `!(${found})` : found);
  }

  private test(left: Cel): Cel {
    const negated = this.accept("not");
    const name = this.take().value;
    const { source, presence } = left;
    const found = {
      defined: presence === undefined ? `(${source} != null)` : `(${presence})`,
      undefined: presence === undefined ? `(${source} == null)` : `!(${presence})`,
      none: `(${source} == null)`,
      string: `(type(${source}) == string)`,
      mapping: `(type(${source}) == map)`,
      number: `(type(${source}) in [int, double])`,
    }[name];
    if (found === undefined) throw new UnsupportedJinja(`the test "is ${name}" has no counterpart`);
    return truth(negated ? `!${found}` : found);
  }

  private sum(): Cel {
    let left = this.product();
    for (;;) {
      if (this.accept("+")) {
        const right = this.product();
        left = {
          source: `(${left.source} + ${right.source})`,
          kind: left.kind === right.kind && left.kind !== "truth" ? left.kind : "any",
        };
      } else if (this.accept("-")) left = numeric(`(${left.source} - ${this.product().source})`);
      else if (this.accept("~")) left = text(`(${textOfCel(left)} + ${textOfCel(this.product())})`);
      else return left;
    }
  }

  private product(): Cel {
    let left = this.unary();
    for (;;) {
      if (this.accept("*")) left = numeric(`(${left.source} * ${this.unary().source})`);
      else if (this.accept("/")) left = numeric(`(double(${left.source}) / ${this.unary().source})`);
      else if (this.accept("%")) left = numeric(`(${left.source} % ${this.unary().source})`);
      else return left;
    }
  }

  private unary(): Cel {
    return this.accept("-") ? numeric(`-${this.postfix().source}`) : this.postfix();
  }

  private postfix(): Cel {
    let value = this.primary();
    for (;;) {
      if (this.accept(".")) value = this.attribute(value, this.take());
      else if (this.accept("[")) {
        const key = this.conditional();
        this.expect("]");
        value = any(`${value.source}[${key.source}]`);
      } else if (this.accept("|")) value = this.filter(value);
      else return value;
    }
  }

  private attribute(value: Cel, { value: key }: JinjaToken): Cel {
    if (this.accept("(")) return this.method(value, key, this.list(")"));
    this.note("missing keys", "reading a key that is not there is an error here, and empty in Jinja2", "Give it with default().");
    return { ...any(member(value.source, key)), presence: hasMember(value.source, key) };
  }

  private primary(): Cel {
    const token = this.take();
    if (token.kind === "text") return text(celString(token.value));
    if (token.kind === "number") return numeric(token.value);
    if (token.kind === "name") return this.named(token.value);
    if (token.value === "[")
      return any(
        `[${this.list("]")
          .map(({ source }) => source)
          .join(", ")}]`,
      );
    if (token.value !== "(") throw new UnsupportedJinja(`${JSON.stringify(token.value)} is not understood there`);
    const inner = this.conditional();
    this.expect(")");
    return { source: `(${inner.source})`, kind: inner.kind };
  }

  private named(name: string): Cel {
    const constant = constants.get(name);
    if (constant !== undefined) return constant;
    if (this.peek().value === "(") throw new UnsupportedJinja(`the function ${name}() has no counterpart`);
    const variable = this.variables.get(name);
    if (variable !== undefined) return variable;
    if (name === "loop") throw new UnsupportedJinja("loop.index and the like have no counterpart");
    this.note(`variable ${name}`, "it is not among the node's variables, so it is empty", "Add it, or remove it.");
    return text('""');
  }

  private list(close: string): readonly Cel[] {
    const items: Cel[] = [];
    while (!this.accept(close)) {
      items.push(this.conditional());
      if (this.peek().value !== close) this.expect(",");
    }
    return items;
  }

  private method(value: Cel, name: string, args: readonly Cel[]): Cel {
    const [first, second] = args.map(({ source }) => source);
    const known: ReadonlyMap<string, Cel | undefined> = new Map([
      ["upper", this.ascii(value, "upperAscii")],
      ["lower", this.ascii(value, "lowerAscii")],
      ["strip", first === undefined ? text(`${value.source}.trim()`) : undefined],
      ["split", first === undefined ? undefined : any(`${value.source}.split(${first})`)],
      ["startswith", first === undefined ? undefined : truth(`${value.source}.startsWith(${first})`)],
      ["endswith", first === undefined ? undefined : truth(`${value.source}.endsWith(${first})`)],
      ["replace", first === undefined || second === undefined ? undefined : text(`${value.source}.replace(${first}, ${second})`)],
      ["join", first === undefined ? undefined : text(`${first}.map(one, string(one)).join(${value.source})`)],
      [
        "get",
        first === undefined ? undefined : any(`(${first} in ${value.source} ? ${value.source}[${first}] : ${second ?? "null"})`),
      ],
    ]);
    const found = known.get(name);
    if (found === undefined) throw new UnsupportedJinja(`the method ${name}() has no counterpart`);
    if (name === "upper" || name === "lower") this.noteAscii();
    return found;
  }

  private ascii(value: Cel, name: string): Cel {
    return text(`${textOfCel(value)}.${name}()`);
  }

  private noteAscii(): void {
    this.note("upper and lower", "only the letters A to Z change case here", "Use a code node for other alphabets.");
  }

  private filter(value: Cel): Cel {
    const name = this.take().value;
    const args = this.accept("(") ? this.list(")") : [];
    const [first, second] = args;
    const { source } = value;
    switch (name) {
      case "default":
      case "d": {
        const other = first?.source ?? '""';
        if (second?.source === "true") return any(`(${truthOf(value)} ? ${source} : ${other})`);
        return any(`(${value.presence ?? `${source} != null`} ? ${source} : ${other})`);
      }
      case "upper":
      case "lower":
        this.noteAscii();
        return this.ascii(value, name === "upper" ? "upperAscii" : "lowerAscii");
      case "trim":
        return text(`${textOfCel(value)}.trim()`);
      case "length":
      case "count":
        return numeric(`size(${source})`);
      case "join":
        return text(`${source}.map(one, string(one)).join(${first?.source ?? '""'})`);
      case "replace":
        if (first === undefined || second === undefined) break;
        return text(`${textOfCel(value)}.replace(${first.source}, ${second.source})`);
      case "first":
        return any(`${source}[0]`);
      case "last":
        return any(`${source}[size(${source}) - 1]`);
      case "string":
        return text(textOfCel(value));
      case "int":
        return numeric(`int(${source})`);
      case "float":
        return numeric(`double(${source})`);
      case "list":
      case "safe":
        return value;
    }
    throw new UnsupportedJinja(`the filter ${name} has no counterpart`);
  }
}

function bothTruth(a: Cel, b: Cel): boolean {
  return a.kind === "truth" && b.kind === "truth";
}
