/** Rules of a source that look at more than one of its keys. */

import type { Values } from "./check.ts";
import { type Findings, isValues } from "./check.ts";
import { quoted } from "./frame.ts";
import type { Path } from "./read.ts";
import { formatOfPath, knownExtensions } from "./text.ts";

export function checkSource(job: string, source: Values, findings: Findings): void {
  const path = ["jobs", job, "source"];
  const named = (["file", "url"] as const).filter((key) => source[key] !== undefined);
  if (named.length !== 1) {
    const message =
      named.length === 0
        ? "'source' has neither 'file' nor 'url'"
        : "'source' has both 'file' and 'url', and one is to be read";
    const suggestion = named.length === 0 ? "add 'file: path/to/data.csv' or 'url: https://...'" : "remove one of them";
    findings.add("TR-2019", named.length === 0 ? path : [...path, "url"], "key", { message, suggestion });
  }
  const format = sourceFormatOf(source);
  const [first] = named;
  if (source.format === undefined && format === undefined && first !== undefined && typeof source[first] === "string") {
    const message = `the end of ${quoted(source[first])} does not tell the format`;
    const suggestion = `add 'format:' (csv, json, geojson or parquet); ${knownExtensions.join(", ")} tell it by themselves`;
    findings.add("TR-2020", [...path, first], "value", { message, suggestion });
  }
  if (source.csv !== undefined && format !== undefined && format !== "csv") {
    const message = `'csv' holds options of CSV files, and this source is ${quoted(format)}`;
    findings.add("TR-2007", [...path, "csv"], "key", { message, suggestion: "remove 'csv', or set 'format: csv'" });
  }
  const packed = source.compression === "gzip" || source.compression === "zstd";
  if (packed && format === "parquet") {
    const message = "a Parquet file is packed inside, and 'compression' is for files packed as a whole";
    findings.add("TR-2007", [...path, "compression"], "key", { message, suggestion: "remove 'compression'" });
  }
  if (isValues(source.csv)) checkDialect(source.csv, [...path, "csv"], findings);
}

/** Characters that mean two things at once would be read as either. The escape is often the quote itself. */
function checkDialect(csv: Values, path: Path, findings: Findings): void {
  const pairs = [
    ["delimiter", "quote"],
    ["delimiter", "escape"],
    ["delimiter", "comment"],
    ["quote", "comment"],
  ] as const;
  for (const [one, other] of pairs) {
    if (typeof csv[one] !== "string" || csv[one] === "" || csv[one] !== csv[other]) continue;
    findings.add("TR-2007", [...path, other], "value", { message: `'${one}' and '${other}' are the same character` });
  }
}

/** The format of a source: what it says, or what the end of its path tells. */
export function sourceFormatOf(source: Values): string | undefined {
  if (source.format !== undefined) return typeof source.format === "string" ? source.format : undefined;
  if (typeof source.file === "string") return formatOfPath(source.file);
  if (typeof source.url === "string" && URL.canParse(source.url)) return formatOfPath(new URL(source.url).pathname);
  return undefined;
}
