/** The datasets of a run: in each set one of every way to write one. */
import type { Shape } from "../check/facts.ts";

/** One set counts as so many: the two outputs of one job are one way to write. */
export const setSize = 8;

export const regions = ["eu", "us", "asia", "africa", "north", "south", "moon", "mars"] as const;
export const months = ["2001-01", "2001-02", "2001-03", "2001-04", "2001-05", "2001-06"] as const;
/** Keys of the keyed appends, so few that they come again and again. */
export const keys = ["k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k9"] as const;

export interface Job {
  readonly dag: string;
  readonly job: string;
  /** Tasks of it are for one of these each. */
  readonly partitions: readonly string[];
  /** Its tasks are given one of these as the key of their slice. */
  readonly keys: readonly string[];
  /** It reads nothing: somebody has to make its tasks. The others start by themselves. */
  readonly first: boolean;
}

export interface DatasetSet {
  readonly source: string;
  readonly jobs: readonly Job[];
  readonly shapes: readonly (readonly [string, Shape])[];
  readonly together: readonly [string, string];
  /** Outputs that carry fingerprints. */
  readonly fingerprinted: string;
}

const replace: Shape = { strategy: "replace", whole: false, news: undefined };
const append: Shape = { strategy: "append", whole: false, news: undefined };

/** `a -> b -> c`, where `c` reads both; `news` appends what is new of `a`; the others stand alone. */
export function datasetSet(index: number): DatasetSet {
  const name = (word: string) => `${word}_${index}`;
  const dag = name("set");
  const ingest = "operator: ingest, source: { file: /nowhere, format: json }";
  const sql = 'operator: sql, sql: "select 1"';
  const rest = "timeout: 30s, retries: 8";
  const [a, b, c, news, keyed, month, region, one, two] = [
    "a",
    "b",
    "c",
    "news",
    "keyed",
    "month",
    "region",
    "one",
    "two",
  ].map(name);
  const lines = [
    `a: { ${ingest}, outputs: [${a}], ${rest} }`,
    `b: { ${sql}, inputs: [${a}], outputs: [${b}], ${rest} }`,
    `c: { ${sql}, inputs: [${a}, ${b}], outputs: [${c}], ${rest} }`,
    `news: { ${sql}, inputs: [{ dataset: ${a}, read: new }], outputs: [{ dataset: ${news}, strategy: append }], ${rest} }`,
    `keyed: { ${ingest}, outputs: [{ dataset: ${keyed}, strategy: append }], ${rest} }`,
    `month: { ${ingest}, outputs: [{ dataset: ${month}, partition_by: month }], ${rest} }`,
    `region: { ${ingest}, partitions: { keys: [${regions.join(", ")}] }, outputs: [${region}], ${rest} }`,
    `pair: { ${ingest}, outputs: [${one}, { dataset: ${two}, sql: "select 1" }], ${rest} }`,
  ];
  const job = (word: string, more: Partial<Job> = {}): Job => ({
    dag,
    job: word,
    partitions: [],
    keys: [],
    first: true,
    ...more,
  });
  return {
    source: `dag: ${dag}\njobs:\n${lines.map((line) => `  ${line}\n`).join("")}`,
    jobs: [
      job("a"),
      job("b", { first: false }),
      job("c", { first: false }),
      job("keyed", { keys }),
      job("month"),
      job("region", { partitions: regions }),
      job("pair"),
    ],
    shapes: [
      [a as string, replace],
      [b as string, replace],
      [c as string, replace],
      [news as string, { ...append, news: a }],
      [keyed as string, append],
      [month as string, { ...replace, whole: true }],
      [region as string, replace],
      [one as string, replace],
      [two as string, replace],
    ],
    together: [one as string, two as string],
    fingerprinted: a as string,
  };
}
