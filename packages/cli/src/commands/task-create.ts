/** `trace task create`: tasks of one job, now or at a time, by hand or from a script. */
import { resolve } from "node:path";
import {
  batchItemsMax,
  type ErrorRecord,
  fromErrorRecord,
  namePattern,
  payloadBytesMax,
  type RouteAnswer,
  TraceError,
  type userRoutes,
} from "@trace/contracts";
import { type Command, InvalidArgumentError } from "commander";
import type { Cli, UserClient } from "../cli.ts";
import { exitCodes } from "../exit.ts";
import { errorLines } from "../failure.ts";
import { actionTasksMax, answersShownMax } from "../limits.ts";
import { nearest } from "../nearest.ts";
import type { CliOf } from "../program.ts";
import { readSmallFile } from "../state/settings-file.ts";
import { count, plural } from "../terminal/format.ts";
import {
  type Ahead,
  aheadArgument,
  examples,
  keyArguments,
  signedNumber,
  timeAhead,
  wholeNumber,
} from "./arguments.ts";

type Answers = RouteAnswer<(typeof userRoutes)["createTasks"]>["items"];

interface JobName {
  readonly dag: string;
  readonly job: string;
}

interface CreateOptions {
  readonly payload?: string;
  readonly priority?: number;
  readonly runAt?: Ahead;
  readonly dedupeKey?: string;
  readonly partition?: readonly string[];
  readonly count: number;
}

export function registerTaskCreate(task: Command, cliOf: CliOf): void {
  task
    .command("create")
    .summary("create tasks of a job")
    .description(
      "Creates tasks of one job. With --dedupe-key, a second task with the same key is answered with the first. Prints their ids, one per line.",
    )
    .argument("<dag.job>", "the job, like quakes.ingest_quakes", jobArgument)
    .option("--payload <json>", "what the task is given: a JSON object, or @FILE with one")
    .option("--priority <n>", "-100 to 100, lower runs first", signedNumber(-100, 100))
    .option(
      "--run-at <time>",
      "not before: a moment like 2026-11-24T07:00:00Z, or a time from now like 10m",
      aheadArgument,
    )
    .option("--dedupe-key <key>", "names the task among those of its job")
    .option("--partition <key...>", "of a job in partitions: those to make, a task for each", keyArguments)
    .option(
      "--count <n>",
      `so many alike, up to ${count(actionTasksMax)}`,
      wholeNumber(1, Math.min(actionTasksMax, batchItemsMax)),
      1,
    )
    .addHelpText(
      "after",
      examples(
        ["trace task create quakes.ingest_quakes", "one, now"],
        [
          `trace task create quakes.ingest_quakes --payload '{"day":"2026-11-23"}' --dedupe-key 2026-11-23`,
          "one per day",
        ],
        ["trace task create flights.split --partition 2001-02", "one partition"],
        ["trace task create plain.noop --count 1000 --run-at 10m", "a thousand, in ten minutes"],
      ),
    )
    .action(async (job: JobName, options: CreateOptions, command: Command) => {
      const cli = cliOf(command);
      if (options.dedupeKey !== undefined && options.count > 1) {
        throw new TraceError("TR-7001", {
          detail: `--count ${options.count} and --dedupe-key exclude each other`,
          why: "a key names one task: the others would be answered with the first",
          fix: "leave one of them out",
        });
      }
      const payload = await payloadOf(cli, options.payload);
      await cli.withClient((client) => create(cli, client, job, { ...options, payload }));
    });
}

function jobArgument(text: string): JobName {
  const [dag = "", job = "", ...more] = text.split(".");
  if (more.length === 0 && namePattern.test(dag) && namePattern.test(job)) return { dag, job };
  throw new InvalidArgumentError(
    "It must be the name of a DAG, a dot and the name of a job, like quakes.ingest_quakes.",
  );
}

/** Throws TR-7001. */
async function payloadOf(cli: Cli, given: string | undefined): Promise<Record<string, unknown>> {
  if (given === undefined) return {};
  const fix = `for example --payload '{"day":"2026-11-23"}' or --payload @payload.json`;
  const path = given.startsWith("@") ? resolve(cli.io.cwd, given.slice(1)) : undefined;
  const fault = { code: "TR-7001", what: "the file of the payload", fix } as const;
  const text = path === undefined ? given : await readSmallFile(path, fault, payloadBytesMax);
  let value: unknown;
  let why = "it is not an object in braces";
  try {
    value = JSON.parse(text);
  } catch (error) {
    why = (error as Error).message;
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new TraceError("TR-7001", { detail: "the payload is no JSON object", where: path ?? "--payload", why, fix });
}

async function create(
  cli: Cli,
  client: UserClient,
  job: JobName,
  options: Omit<CreateOptions, "payload"> & { readonly payload: Record<string, unknown> },
): Promise<void> {
  const { payload, priority, runAt, dedupeKey, partition } = options;
  const item = {
    ...job,
    payload,
    ...(priority === undefined ? {} : { priority }),
    ...(dedupeKey === undefined ? {} : { dedupe_key: dedupeKey }),
    ...(runAt === undefined ? {} : { run_at: timeAhead(runAt, cli.io.clock.nowMs()) }),
  };
  const items = partition === undefined ? [item] : partition.map((key) => ({ ...item, partition: key }));
  const alike = Array.from({ length: options.count }, () => items).flat();
  const answer = await client.createTasks({ body: { items: alike } });
  const refused = answer.items.flatMap(({ error }) => (error === undefined ? [] : [error]));
  if (refused.length === 0 || answer.items.length > 1) {
    if (cli.json) cli.printJson(answer);
    else show(cli, job, answer.items);
  }
  const [first] = refused;
  if (first === undefined) return;
  // One task that was refused is the error of the command; of many, each answer says its own.
  const error = await withMeantJob(client, job, first);
  if (answer.items.length === 1) throw error;
  cli.endWith(refused.some((one) => !fromErrorRecord(one).retryable) ? exitCodes.failed : exitCodes.tryAgain);
  if (cli.json) return;
  const more = cli.command("explain", error.code);
  cli.say(`${plural(refused.length, "task")} refused; the first of them:`);
  cli.say(...errorLines(error, { width: cli.errWidth, palette: cli.errColors, more }));
}

function show(cli: Cli, { dag, job }: JobName, items: Answers): void {
  const ids = items.flatMap(({ task_id, error }) => (task_id === undefined || error !== undefined ? [] : [task_id]));
  const created = items.filter((item) => item.created).length;
  cli.print(...ids);
  const { bold } = cli.errColors;
  const known = ids.length - created;
  if (created > 0) cli.say(`created ${plural(created, "task")} of ${bold(`${dag}.${job}`)}`);
  if (known > 0) cli.say(`${plural(known, "task")} with this key ${known === 1 ? "was" : "were"} there already`);
  const [first] = ids;
  if (first === undefined) return;
  cli.sayNext(
    ids.length === 1
      ? [[cli.command("task", "watch", first), "see it to its end"]]
      : [
          [
            cli.command("task", "list", "--dag", dag, "--job", job, "--limit", String(answersShownMax)),
            "see how they do",
          ],
        ],
  );
}

/** The error of an unknown job with the name that was probably meant, or the error as it is. */
async function withMeantJob(client: UserClient, { dag, job }: JobName, record: ErrorRecord): Promise<TraceError> {
  const error = fromErrorRecord(record);
  if (error.code !== "TR-3010") return error;
  const { dags } = await client.listDags({});
  const known = dags.flatMap((one) => one.jobs.map(({ name }) => `${one.dag}.${name}`));
  const meant = nearest(`${dag}.${job}`, known);
  if (meant === undefined) return error;
  return new TraceError("TR-3010", { ...record, fix: `did you mean '${meant}'? ${record.fix ?? ""}`.trim() });
}
