/**
 * The suite `ingest`: a large file into partitions through a whole stack, beside the engine alone. What each figure means:
 * bench/README.md.
 */
import { openPlace } from "../harness/place.ts";
import { BenchPostgres, serverSettings } from "../harness/postgres.ts";
import { machine } from "../tasks/report.ts";
import { threads } from "./limits.ts";
import { readOptions } from "./options.ts";
import { Suite } from "./suite.ts";

export async function runIngest(args: readonly string[]): Promise<void> {
  const options = readOptions(args);
  const place = await openPlace();
  const parts: { postgres?: BenchPostgres; suite?: Suite } = {};
  let ended: Promise<void> | undefined;
  const end = () => {
    ended ??= (async () => {
      await parts.suite?.stop();
      await parts.postgres?.stop();
      await place.remove();
    })();
    return ended;
  };
  const interrupted = () => void end().finally(() => process.exit(130));
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, interrupted);
  try {
    parts.postgres = await BenchPostgres.start(place.folder);
    const tell = (text: string) => console.error(text);
    parts.suite = new Suite({ options, postgres: parts.postgres, folder: place.folder, tell });
    const measured = await parts.suite.run();
    if (options.json) {
      const settings = { postgres: serverSettings, threads };
      const document = { format: 1, at: new Date().toISOString(), machine: machine(), options, settings, measured };
      console.log(JSON.stringify(document, null, 2));
      return;
    }
    for (const { details } of measured) for (const line of details) console.log(line);
    for (const { headline } of measured) console.log(headline);
  } finally {
    await end();
  }
}
