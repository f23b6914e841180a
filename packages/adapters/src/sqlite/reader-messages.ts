import type { Row, SqlValue } from "./connection.ts";

/** What the reader's worker is told. */
export type ReaderMessage =
  | {
      readonly kind: "rows";
      readonly id: number;
      readonly sql: string;
      readonly values: readonly SqlValue[];
      readonly search: boolean;
    }
  /** Look after the index, and the log where `checkpoint` says so. */
  | { readonly kind: "tend"; readonly checkpoint: boolean }
  /** These tasks are gone, and their words with them. */
  | { readonly kind: "removed"; readonly seqs: readonly number[] }
  | { readonly kind: "close" };

/** What it answers to `rows`: the rows, or why not. */
export type ReaderAnswer =
  | { readonly id: number; readonly rows: readonly Row[] }
  | { readonly id: number; readonly rows?: undefined; readonly message: string; readonly code: string };
