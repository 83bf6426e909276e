/**
 * Finds the parameters of a SQL text (`$partition`), which are values and never text put into the SQL. Reads as DuckDB's
 * own lexer does: what stands in quotes, comments and names is no parameter.
 */

/** What a job of partitions may ask for. The last two are known where the partitions are steps of time. */
export const partitionParameters = ["partition", "partition_start", "partition_end"] as const;

export interface SqlParameter {
  /** Without its `$`. */
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

const quotedText = /'(?:[^']|'')*'/y;
/** Only in E'...' does a backslash keep a quote from ending the text. */
const escapedText = /[eE]'(?:[^'\\]|''|\\[\s\S])*'/y;
const quotedName = /"(?:[^"]|"")*"/y;
const lineComment = /--[^\n]*/y;
const dollarQuote = /\$([A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*)?\$/y;
const parameter = /\$([A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*|\d+)/y;
/** A name may hold a `$`, and so may what follows a number. */
const word = /[A-Za-z0-9_\u0080-\uffff][A-Za-z0-9_$\u0080-\uffff]*/y;

/** Every parameter in the order of the text. Ends for any text, in one walk. */
export function sqlParameters(sql: string): SqlParameter[] {
  const found: SqlParameter[] = [];
  const skips = [escapedText, quotedText, quotedName, lineComment, word];
  let at = 0;
  while (at < sql.length) {
    if (sql.startsWith("/*", at)) {
      at = afterComment(sql, at);
      continue;
    }
    const skipped = skips.map((pattern) => matchAt(pattern, sql, at)).find((match) => match !== undefined);
    const opened = skipped === undefined ? matchAt(dollarQuote, sql, at) : undefined;
    const named = skipped === undefined && opened === undefined ? matchAt(parameter, sql, at) : undefined;
    if (skipped !== undefined) at += skipped[0].length;
    else if (opened !== undefined) at = after(sql, opened[0], at + opened[0].length);
    else if (named !== undefined) {
      found.push({ name: named[1] ?? "", start: at, end: at + named[0].length });
      at += named[0].length;
    } else if (sql[at] === "'" || sql[at] === '"') {
      // A quote that is never closed: nothing behind it can be told from text.
      return found;
    } else at += 1;
  }
  return found;
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text) ?? undefined;
}

function after(text: string, closing: string, from: number): number {
  const end = text.indexOf(closing, from);
  return end === -1 ? text.length : end + closing.length;
}

/** Comments of this kind nest. */
function afterComment(text: string, from: number): number {
  const marks = /\/\*|\*\//g;
  marks.lastIndex = from;
  let depth = 0;
  for (let mark = marks.exec(text); mark !== null; mark = marks.exec(text)) {
    depth += mark[0] === "/*" ? 1 : -1;
    if (depth === 0) return marks.lastIndex;
  }
  return text.length;
}
