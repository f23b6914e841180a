import type { Json } from "@longhaul/core";
import { expect, test } from "vitest";
import { defaultResultLimits } from "../../expression/json-result.ts";
import { compileTemplate } from "../../expression/template.ts";
import { jinjaPieces } from "./jinja-template.ts";
import { UnsupportedJinja } from "./jinja-tokens.ts";
import { textOf } from "./template-text.ts";

const values = {
  name: "Ada",
  n: 3,
  list: ["x", "y"],
  empty: [],
  map: { k: "v", l: "w" },
  people: [
    { name: "A", age: 20 },
    { name: "B", age: 9 },
  ],
  no: null,
};

function rendered(template: string): Json {
  const variables = new Map(Object.keys(values).map((name) => [name, { source: `input.${name}`, kind: "any" as const }]));
  const text = textOf(
    jinjaPieces(template, variables, () => undefined),
    true,
  );
  const compiled = compileTemplate(text);
  if (!compiled.ok) throw new Error(`${text}: ${JSON.stringify(compiled.problems)}`);
  return compiled.template.run(
    { input: values, nodes: {}, errors: {}, task: {}, secrets: {} },
    { left: 1_000_000 },
    defaultResultLimits,
  );
}

test.each([
  ["Hello {{ name }}!", "Hello Ada!"],
  ["{{ n }}", "3"],
  ["a ${b} $${{ n }} $", "a ${b} $$3 $"],
  ["{{ name|upper }} {{ name | lower | replace('a', \"o\") }}", "ADA odo"],
  ["{{ list | join(', ') }} {{ list|length }} {{ list|first }}{{ list|last }}{{ list[1] }}", "x, y 2 xyy"],
  ["{{ map.k }}{{ map['l'] }}", "vw"],
  ["{{ map.none | default('d') }}{{ no | default('e') }}{{ empty | default('f', true) }}", "def"],
  ["{{ map.get('k') }}{{ map.get('z', 'q') }}", "vq"],
  ["{{ n + 1 }} {{ n * 2 - 1 }} {{ n / 2 }} {{ n % 2 }} {{ -n }}", "4 5 1.5 1 -3"],
  ["{{ name ~ n ~ '!' }}", "Ada3!"],
  ["{{ 'yes' if n > 2 else 'no' }}{{ 'x' if empty }}", "yes"],
  ["{% if n == 3 and not empty %}a{% elif n %}b{% else %}c{% endif %}", "a"],
  ["{% if no or empty %}a{% elif name == 'Ada' %}b{% endif %}", "b"],
  ["{% if 'd' in name %}in{% endif %}{% if 'z' not in list %}out{% endif %}", "inout"],
  ["{% if no is none and map.z is not defined %}none{% endif %}", "none"],
  ["{% for x in list %}<{{ x }}>{% endfor %}", "<x><y>"],
  ["{% for p in people if p.age > 10 %}{{ p.name }}{% endfor %}", "A"],
  ["{% for x in empty %}x{% else %}nothing{% endfor %}", "nothing"],
  ["{% for k, v in map.items() %}{{ k }}={{ v }};{% endfor %}", "k=v;l=w;"],
  ["{% for p in people %}{% for x in list %}{{ p.name }}{{ x }} {% endfor %}{% endfor %}", "Ax Ay Bx By "],
  ["{% set who = name | upper %}{{ who }}", "ADA"],
  ["a {#- a comment -#} b", "ab"],
  ["a  {{- n -}}  b {%- if n -%} c {%- endif %}", "a3bc"],
  ["{% raw %}{{ name }}{% endraw %}", "{{ name }}"],
  ["{{ '}}' }}{{ \"{% x %}\" }}", "}}{% x %}"],
  ["one line\n", "one line"],
  ["{{ unknown }}|", "|"],
  ["", ""],
])("%j gives %j", (template, expected) => {
  expect(rendered(template)).toBe(expected);
});

test.each([
  ["{% for x in list %}{{ loop.index }}{% endfor %}", "loop"],
  ["{% macro m() %}{% endmacro %}", "macro"],
  ["{% include 'x' %}", "include"],
  ["{{ name | tojson }}", "tojson"],
  ["{{ range(3) }}", "range"],
  ["{{ n // 2 }}", "//"],
  ["{% if n %}", "endif"],
  ["{{ name", "never closed"],
  [`{{ ${"(".repeat(100)}1${")".repeat(100)} }}`, "deeply"],
  ["{{ n ? 1 : 2 }}", "cannot be read"],
])("%j is refused, and the reason names %j", (template, reason) => {
  const attempt = () =>
    jinjaPieces(
      template,
      new Map([
        ["name", { source: "input.name", kind: "any" }],
        ["n", { source: "input.n", kind: "any" }],
        ["list", { source: "input.list", kind: "any" }],
      ]),
      () => undefined,
    );
  expect(attempt).toThrow(UnsupportedJinja);
  expect(attempt).toThrow(reason);
});
