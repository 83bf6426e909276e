/** What an input is read from. */
import type { DuckDialect } from "../types.ts";

/** A query over files, before the view's own filter. */
export interface Source {
  readonly query: string;
  readonly files: readonly string[];
  readonly dialect?: DuckDialect | undefined;
}
