/** What the benchmark and the process of its clients say to each other. Times are of `machineMs`. */

export type ToClients =
  /** Claims `tasks` and stages the file for each. */
  | { readonly kind: "stage"; readonly tasks: number; readonly file: string }
  /** Publishes all that is staged: `batch` commits in a request, `clients` requests at once. */
  | { readonly kind: "publish"; readonly clients: number; readonly batch: number }
  /** Asks for the files of some partitions, one call after the other. */
  | {
      readonly kind: "resolve";
      readonly dataset: string;
      readonly calls: readonly (readonly string[])[];
      readonly presign: boolean;
    };

export type FromClients =
  | { readonly kind: "ready" }
  | { readonly kind: "staged"; readonly bytes: number }
  | { readonly kind: "published"; readonly ms: number; readonly callMs: readonly number[] }
  | { readonly kind: "resolved"; readonly callMs: readonly number[]; readonly files: number };
