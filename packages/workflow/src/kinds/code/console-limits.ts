export const maxConsoleLines = 1000;
export const maxConsoleLineLength = 4096;
/** A little less than a node's log keeps, so that its last line says what is missing. */
export const maxConsoleLength = 60 * 1024;

/** What a node's log counts for a line beside its text. */
const lineOverhead = 44;

/** Splits console text into lines and hands on as many as a run may write. Answers whether more are wanted. */
export function consoleLimits(write: (line: string) => void): (text: string) => boolean {
  let lines = 0;
  let length = 0;
  let open = true;

  return (text) => {
    for (const line of text.split("\n", maxConsoleLines + 1)) {
      if (!open) break;
      const cut = line.length > maxConsoleLineLength ? `${line.slice(0, maxConsoleLineLength)}...` : line;
      lines++;
      length += cut.length + lineOverhead;
      open = lines <= maxConsoleLines && length <= maxConsoleLength;
      write(open ? cut : "(the console wrote more than a run may; the rest is left out)");
    }
    return open;
  };
}
