/** Lines of a JSON log at level warn (40) or worse, and lines that are no log at all but speak of an error. */
export function warningsIn(name: string, output: string): readonly string[] {
  return output
    .split("\n")
    .filter((line) => /"level":(?:[456]0|"(?:warn|error|fatal)")/.test(line) || /^\S*Error: /.test(line))
    .map((line) => `${name}: ${line.slice(0, 400)}`);
}
