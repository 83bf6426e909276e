/** `ingest`: takes a file or a URL into a dataset, through SQL when the job has some. */
import { join } from "node:path";
import type { CsvOptions, IngestSource } from "@trace/contracts";
import type { DuckInput } from "@trace/duck";
import { configOf, type Operator, type OperatorContext } from "./operator.ts";
import { queryAndStage } from "./query.ts";
import { findSourceFile } from "./source-file.ts";
import { download } from "./source-url.ts";

/** The view that a job's SQL reads. */
const sourceView = "source";

export const ingest: Operator = {
  async run(context) {
    const { source, sql } = configOf(context, "ingest");
    const { path, verify } = await (source.kind === "file"
      ? localFile(context, source.path)
      : remote(context, source.url));
    context.signal.throwIfAborted();
    const inputs = [inputOf(source, path)];
    return [await queryAndStage(context, { inputs, sql: sql ?? `select * from ${sourceView}`, verify })];
  },
};

interface Found {
  readonly path: string;
  readonly verify: () => Promise<void>;
}

async function localFile(context: OperatorContext, path: string): Promise<Found> {
  const { fileRoots, sourceBytesMax } = context.services;
  const file = await findSourceFile(path, fileRoots, sourceBytesMax);
  context.log.info(`reading ${file.bytes} bytes of '${path}'`);
  return { path: file.path, verify: file.unchanged };
}

async function remote(context: OperatorContext, url: string): Promise<Found> {
  const { host, pathname } = new URL(url);
  // Without the query: people put keys there.
  context.log.info(`downloading ${pathname} from ${host}`);
  const path = join(await context.workDir(), "source");
  const { bytes, sha256 } = await download(context, url, path);
  context.log.info(`downloaded ${bytes} bytes, SHA-256 ${sha256}`);
  return { path, verify: () => Promise.resolve() };
}

function inputOf(source: IngestSource, path: string): DuckInput {
  const { columns, csv, format } = source;
  return {
    name: sourceView,
    files: [path],
    format,
    ...(columns === undefined ? {} : { columns }),
    ...(csv === undefined ? {} : { csv: csvOf(csv) }),
  };
}

/** What the file says of its dialect; what it leaves out is found by looking at the data. */
function csvOf({ header, delimiter, quote, null_text }: CsvOptions): NonNullable<DuckInput["csv"]> {
  return {
    ...(header === undefined ? {} : { header }),
    ...(delimiter === undefined ? {} : { delimiter }),
    ...(quote === undefined ? {} : { quote }),
    ...(null_text === undefined ? {} : { nullText: null_text }),
  };
}
