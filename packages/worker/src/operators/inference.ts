/** What was found out about a source by looking at it, in lines that people read in the task's log. Pure. */
import type { DuckInference } from "@trace/duck";

const restsOn: Readonly<Record<DuckInference["lookedAt"], string>> = {
  all: "types rest on every row",
  sample: "types rest on a sample of the rows; declare them under `columns` to be sure",
  declared: "types are declared",
};

export function inferenceLines({ columns, compression, dialect, input, lookedAt }: DuckInference): string[] {
  const packed = compression === undefined || compression === "none" ? "" : `, ${compression}`;
  const lines = [`'${input}' has ${columns.length} columns${packed}; ${restsOn[lookedAt]}`];
  if (dialect !== undefined) {
    const { comment, delimiter, header, quote, skip } = dialect;
    const parts = [
      `delimiter ${shown(delimiter)}`,
      `quote ${shown(quote)}`,
      `escape ${shown(dialect.escape)}`,
      header ? "a header" : "no header",
      ...(skip > 0 ? [`${skip} lines skipped`] : []),
      ...(comment === undefined ? [] : [`comments after ${shown(comment)}`]),
    ];
    lines.push(`CSV with ${parts.join(", ")}`);
  }
  const width = Math.min(nameCharsMax, Math.max(0, ...columns.map(({ name }) => name.length)));
  return [...lines, ...columns.map(({ name, type }) => `  ${name.padEnd(width)}  ${type}`)];
}

/** Longer names are not lined up with. */
const nameCharsMax = 40;

function shown(character: string): string {
  if (character === "") return "none";
  return character === "\t" ? "tab" : character;
}
