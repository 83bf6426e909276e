/** What the benchmark and the process of the engine say to each other. Times are of `machineMs`. */

export type ToEngine =
  /** Reads the file and writes it split by month into the folder. */
  | { readonly kind: "split"; readonly source: string; readonly folder: string }
  /** Writes a file: the source so many times, or its first rows. */
  | {
      readonly kind: "make";
      readonly source: string;
      readonly copies: number;
      readonly rows: number | null;
      readonly target: string;
    };

export type FromEngine =
  | { readonly kind: "ready" }
  | { readonly kind: "split"; readonly ms: number; readonly rows: number; readonly files: number }
  | { readonly kind: "made"; readonly rows: number };
