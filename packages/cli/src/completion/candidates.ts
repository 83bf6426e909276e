/** What could stand where somebody pressed Tab: commands, options, and names that the dispatcher knows, when it answers at once. */
import { errorCatalogue, namePattern } from "@trace/contracts";
import type { Command } from "commander";
import type { Cli, UserClient } from "../cli.ts";
import { completionMsMax, completionNamesMax } from "../limits.ts";
import { relative } from "../terminal/format.ts";
import { printable } from "../terminal/width.ts";
import { valueKinds } from "./kinds.ts";
import { type Reading, readWords, type ValueKind } from "./wanted.ts";

export interface Candidate {
  readonly value: string;
  readonly note?: string | undefined;
}

export interface Candidates {
  readonly found: readonly Candidate[];
  /** The shell knows these itself. */
  readonly paths?: "file" | "folder" | undefined;
}

export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

function commandsOf(command: Command): Candidate[] {
  const visible = command.createHelp().visibleCommands(command);
  return visible.map((one) => ({ value: one.name(), note: one.summary() || one.description() }));
}

function optionsOf(command: Command): Candidate[] {
  const visible = command.createHelp().visibleOptions(command);
  return visible.map((option) => ({ value: option.long ?? option.flags, note: option.description }));
}

/** What the answer is made with. */
interface Ask {
  readonly client: UserClient;
  readonly reading: Reading;
  readonly nowMs: number;
  readonly options: { readonly signal: AbortSignal };
}

/** The dataset that a command line names. */
function datasetOf({ given }: Reading): string | undefined {
  const [name] = given;
  return name !== undefined && namePattern.test(name) ? name : undefined;
}

async function jobs({ client, reading, options }: Ask): Promise<{ dag: string; job: string; operator: string }[]> {
  const { dags } = await client.listDags({}, options);
  const wanted = reading.options.get("--dag");
  const among = wanted === undefined ? dags : dags.filter((dag) => dag.dag === wanted);
  return among.flatMap(({ dag, jobs: own }) => own.map(({ name, operator }) => ({ dag, job: name, operator })));
}

const live: Readonly<Record<string, (ask: Ask) => Promise<Candidate[]>>> = {
  dataset: async ({ client, options }) => {
    const { datasets } = await client.listDatasets({}, options);
    return datasets.map(({ name, head }) => ({
      value: name,
      note: head === 0 ? "nothing committed" : `commit ${head}`,
    }));
  },
  dag: async ({ client, options }) => {
    const { dags } = await client.listDags({}, options);
    return dags.map(({ dag, number }) => ({ value: dag, note: `version ${number}` }));
  },
  job: async (ask) => (await jobs(ask)).map(({ dag, job }) => ({ value: job, note: `of ${dag}` })),
  "dag.job": async (ask) =>
    (await jobs(ask)).map(({ dag, job, operator }) => ({ value: `${dag}.${job}`, note: operator })),
  task: async ({ client, nowMs, options }) => {
    const { tasks } = await client.listTasks({ query: { limit: completionNamesMax } }, options);
    return tasks.map(({ task_id, dag, job, state, created_at }) => ({
      value: task_id,
      note: `${dag}.${job}, ${state}, ${relative(created_at, nowMs)}`,
    }));
  },
  pin: async ({ client, options }) => {
    const { pins } = await client.listPins({ query: {} }, options);
    return pins.map((pin) => ({ value: pin.pin_id, note: `commit ${pin.commit} of ${pin.dataset}, ${pin.holder}` }));
  },
  commit: async ({ client, reading, nowMs, options }) => {
    const name = datasetOf(reading);
    if (name === undefined) return [];
    const { commits } = await client.listCommits({ params: { name }, query: { limit: completionNamesMax } }, options);
    return commits
      .filter((commit) => commit.purged_at === null)
      .map(({ commit, kind, committed_at }) => ({
        value: String(commit),
        note: `${kind}, ${relative(committed_at, nowMs)}`,
      }));
  },
  partition: async ({ client, reading, options }) => {
    const name = datasetOf(reading);
    if (name === undefined) return [];
    const { partitions, missing } = await client.listPartitions(
      { params: { name }, query: { limit: completionNamesMax } },
      options,
    );
    return [
      ...partitions.map(({ partition, commit }) => ({ value: partition, note: `commit ${commit}` })),
      ...missing.slice(0, completionNamesMax).map((value) => ({ value, note: "missing" })),
    ];
  },
};

/** Names from the dispatcher, or none: whoever presses Tab is not told that it is away, and does not wait for it. */
async function liveNames(cli: Cli, kind: string, reading: Reading): Promise<Candidate[]> {
  const ask = live[kind];
  if (ask === undefined) return [];
  const abort = new AbortController();
  const release = cli.io.after(completionMsMax, () => abort.abort());
  const parts = { reading, nowMs: cli.io.clock.nowMs(), options: { signal: abort.signal } };
  try {
    return await cli.withClient((client) => ask({ client, ...parts }));
  } catch {
    return [];
  } finally {
    release();
  }
}

async function values(cli: Cli, kind: ValueKind, reading: Reading): Promise<Candidates> {
  if (typeof kind !== "string") return { found: kind.map((value) => ({ value })) };
  if (kind === "file" || kind === "folder") return { found: [], paths: kind };
  if (kind === "shell") return { found: shells.map((value) => ({ value })) };
  if (kind === "code") {
    return { found: Object.entries(errorCatalogue).map(([value, { title }]) => ({ value, note: title })) };
  }
  return { found: await liveNames(cli, kind, reading) };
}

/** For all words after the program's name. `cliOf` gets the flags among them that say which stack is meant. */
export async function complete(
  root: Command,
  words: readonly string[],
  cliOf: (options: ReadonlyMap<string, string>) => Cli,
): Promise<Candidates> {
  const reading = readWords(root, words, valueKinds);
  const { wanted, prefix } = reading;
  const fitting = (found: readonly Candidate[]) => found.filter(({ value }) => value.startsWith(prefix));
  if (wanted.kind === "commands") return { found: fitting(commandsOf(wanted.command)) };
  if (wanted.kind === "options") return { found: fitting(optionsOf(wanted.command)) };
  if (wanted.kind === "nothing") return { found: [] };
  const { found, paths } = await values(cliOf(reading.options), wanted.value, reading);
  return { found: fitting(found), paths };
}

/** What a shell's script reads: a line for each, its note behind a tab; a first line `:file` or `:folder` where paths fit. */
export function candidateLines({ found, paths }: Candidates): string[] {
  const lines = found.map(({ value, note }) => (note === undefined ? value : `${value}\t${printable(note)}`));
  return paths === undefined ? lines : [`:${paths}`, ...lines];
}
