/** Names for what a file becomes. A file may be called anything; a dataset is called by a name. Pure. */
import { basename } from "node:path";
import { namePattern } from "@trace/contracts";

/** Room for a prefix of a job's name before it, within the 128 characters of a name. */
const nameCharsMax = 100;
/** For a file whose name holds no letter that a name can have. */
const nameDefault = "data";
const endings = /\.(csv|tsv|txt|json|jsonl|ndjson|geojson|parquet|gz|gzip|zst|zstd)$/i;

/** `Flights 2001.csv.gz` becomes `flights_2001`, `2001.csv` `data_2001`, and a name of other scripts `data`. */
export function nameOf(path: string): string {
  let stem = basename(path);
  for (let shorter = stem.replace(endings, ""); shorter !== stem; shorter = stem.replace(endings, "")) stem = shorter;
  const plain = stem
    // Letters with marks lose the marks: é is e and a mark.
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "_")
    .replace(/^_+|_+$/g, "");
  const begun = /^[0-9]/.test(plain) ? `${nameDefault}_${plain}` : plain;
  const name = begun.slice(0, nameCharsMax).replace(/_+$/, "");
  return namePattern.test(name) ? name : nameDefault;
}
