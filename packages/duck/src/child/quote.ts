/** SQL text of the service's own statements. Names and paths arrive here as data and leave as one token. */

export function literal(text: string): string {
  if (text.includes("\0")) throw new TypeError("a NUL byte in a SQL literal");
  return `'${text.replaceAll("'", "''")}'`;
}

export function identifier(name: string): string {
  if (name.includes("\0")) throw new TypeError("a NUL byte in a SQL name");
  return `"${name.replaceAll('"', '""')}"`;
}

export function literals(texts: readonly string[]): string {
  return `[${texts.map(literal).join(", ")}]`;
}

/** A DuckDB struct literal of texts, keys quoted: `{'a': 'INTEGER'}`. */
export function textMap(entries: Iterable<readonly [string, string]>): string {
  return `{${[...entries].map(([key, value]) => `${literal(key)}: ${literal(value)}`).join(", ")}}`;
}

/** A path as DuckDB's readers take it: they read `*`, `?` and `[` as wildcards, which this makes literal. */
export function globPath(path: string): string {
  return /[*?[]/.test(path) ? path.replace(/[*?[\\]/g, "[$&]") : path;
}

export function globs(paths: readonly string[]): string {
  return literals(paths.map(globPath));
}
