/** Names that mean something to DuckDB itself, and names of tables and their versions. */
import type { DuckAt } from "./types.ts";

/** DuckDB resolves such a name to a view of its own catalogue when no table has it: no input and no WITH may use one. */
export const catalogueName = /^(duckdb_|sqlite_|pragma_|pg_|information_schema)/i;

/** What an input may be called: a dataset's name, or one that begins with an underscore. */
export const viewName = /^[a-z_][a-z0-9_]{0,127}$/;

/** One for each table and version that a query can name. SQL holds no NUL, so that no name is taken for a version. */
export function tableKey(name: string, at?: DuckAt): string {
  return at === undefined ? name : `${name}\0${at.unit}\0${at.value}`;
}
