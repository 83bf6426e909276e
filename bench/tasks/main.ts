/**
 * The suite `tasks`: our tasks beside graphile-worker's, in turn, on one Postgres server. What each figure means:
 * bench/README.md.
 */
import { openPlace, type Place } from "../harness/place.ts";
import { BenchPostgres, serverSettings } from "../harness/postgres.ts";
import { GraphileSide } from "./graphile/side.ts";
import { graphileSettings, leanWorker } from "./limits.ts";
import { readOptions, type TasksOptions } from "./options.ts";
import { type Measured, machine } from "./report.ts";
import { Suite } from "./suite.ts";
import { TraceSide } from "./trace/side.ts";

export async function runTasks(args: readonly string[]): Promise<void> {
  const options = readOptions(args);
  const place = await openPlace();
  const parts: { postgres?: BenchPostgres; suite?: Suite } = {};
  let ended: Promise<void> | undefined;
  const end = () => {
    ended ??= endAll(place, parts);
    return ended;
  };
  const interrupted = () => void end().finally(() => process.exit(130));
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, interrupted);
  try {
    parts.postgres = await BenchPostgres.start(place.folder);
    const { postgres } = parts;
    const graphile = await GraphileSide.create(postgres);
    const side = (worker: "lean" | "role") => new TraceSide({ postgres, folder: place.folder, worker });
    parts.suite = new Suite({ options, postgres, ours: side("lean"), role: side("role"), graphile, tell });
    print(options, await parts.suite.run());
  } finally {
    await end();
  }
}

function tell(text: string): void {
  console.error(text);
}

async function endAll(place: Place, parts: { postgres?: BenchPostgres; suite?: Suite }): Promise<void> {
  await parts.suite?.stop();
  await parts.postgres?.stop();
  await place.remove();
}

function print(options: TasksOptions, measured: readonly Measured[]): void {
  if (options.json) {
    const settings = { postgres: serverSettings, graphile_worker: graphileSettings, lean_worker: leanWorker };
    const document = { format: 1, at: new Date().toISOString(), machine: machine(), options, settings, measured };
    console.log(JSON.stringify(document, null, 2));
    return;
  }
  for (const { details } of measured) for (const line of details) console.log(line);
  for (const { headline } of measured) console.log(headline);
}
