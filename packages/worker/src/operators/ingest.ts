/** `ingest`: takes a file or a URL into a dataset, through SQL when the job has some, unless the dataset has it already. */
import type { AttemptOutput, CsvOptions, IngestConfig } from "@trace/contracts";
import type { DuckInput } from "@trace/duck";
import { fingerprintOf, rememberedOf } from "./fingerprint.ts";
import { configOf, type Operator, type OperatorContext } from "./operator.ts";
import { queryAndStage } from "./query.ts";
import { findSource } from "./source.ts";

/** The view that a job's SQL reads. */
const sourceView = "source";

export const ingest: Operator = {
  async run(context) {
    const { task } = context;
    const config = configOf(context, "ingest");
    const remembered = rememberedOf(task);
    const source = await findSource(context, config.source, remembered?.source);
    try {
      if (source.kind === "unchanged") return unchanged(context, remembered?.fingerprint);
      if (source.known !== undefined) {
        const fingerprint = fingerprintOf(task, source.known);
        if (holdAlready(context, fingerprint)) {
          await source.verify();
          return unchanged(context, fingerprint);
        }
      }
      context.signal.throwIfAborted();
      const { state, verify } = source;
      const provenance = async () => {
        const made = await state();
        return { fingerprint: fingerprintOf(task, made.sha256), source: made };
      };
      const inputs = [inputOf(config, source.path)];
      return await queryAndStage(context, {
        inputs,
        sql: config.sql ?? `select * from ${sourceView}`,
        verify,
        provenance,
      });
    } finally {
      source.stop();
    }
  },
};

function holdAlready({ task }: OperatorContext, fingerprint: string): boolean {
  return task.staging.every(({ previous }) => previous?.fingerprint === fingerprint);
}

function unchanged(context: OperatorContext, fingerprint: string | undefined): AttemptOutput[] {
  if (fingerprint === undefined) throw new Error("a source is unchanged beside nothing");
  const datasets = context.task.staging.map(({ dataset }) => dataset);
  const names = datasets.map((name) => `'${name}'`).join(", ");
  context.log.info(
    `the source is what ${names} ${datasets.length === 1 ? "holds" : "hold"} already; nothing is written`,
  );
  context.progress({ message: "unchanged" });
  return datasets.map((dataset) => ({ dataset, unchanged: true, fingerprint }));
}

function inputOf({ on_bad_row, source }: IngestConfig, path: string): DuckInput {
  const { columns, compression, csv, format } = source;
  return {
    name: sourceView,
    files: [path],
    format,
    compression,
    ...(columns === undefined ? {} : { columns }),
    ...(csv === undefined ? {} : { csv: csvOf(csv) }),
    ...(on_bad_row === "set_aside" ? { onBadRow: on_bad_row } : {}),
  };
}

/** What the file says of its dialect; what it leaves out is found by looking at the data. */
function csvOf({ null_text: nullText, ...options }: CsvOptions): NonNullable<DuckInput["csv"]> {
  const given = Object.entries({ ...options, nullText }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given);
}
