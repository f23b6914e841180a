import { styleText } from "node:util";

export interface Paint {
  head(text: string): string;
  dim(text: string): string;
  /** Colours a word that says how something stands, such as a state of a task. */
  state(text: string): string;
}

type Format = Parameters<typeof styleText>[0];

const stateColours: Readonly<Record<string, Format>> = {
  succeeded: "green",
  delivered: "green",
  started: "green",
  failed: "red",
  timed_out: "red",
  exhausted: "red",
  refused: "red",
  cancelled: "yellow",
  paused: "yellow",
  running: "cyan",
  waiting: "cyan",
};

export function colours(isOn: boolean): Paint {
  if (!isOn) return { head: (text) => text, dim: (text) => text, state: (text) => text };
  // Whether there are colours is decided already; styleText would look at standard output once more.
  const dress = (format: Format, text: string): string => styleText(format, text, { validateStream: false });
  return {
    head: (text) => dress("bold", text),
    dim: (text) => dress("dim", text),
    state: (text) => {
      const colour = stateColours[text.trim()];
      return colour === undefined ? text : dress(colour, text);
    },
  };
}
