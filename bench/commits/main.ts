/** The suite `commits`: what publishing costs, beside plain SQL on the same server. What each figure means: bench/README.md. */
import { openPlace } from "../harness/place.ts";
import { BenchPostgres, serverSettings } from "../harness/postgres.ts";
import { machine } from "../tasks/report.ts";
import { makeFile } from "./file.ts";
import { readOptions } from "./options.ts";
import { Suite } from "./suite.ts";

export async function runCommits(args: readonly string[]): Promise<void> {
  const options = readOptions(args);
  const place = await openPlace();
  let postgres: BenchPostgres | undefined;
  let ended: Promise<void> | undefined;
  const end = () => {
    ended ??= (async () => {
      await postgres?.stop();
      await place.remove();
    })();
    return ended;
  };
  const interrupted = () => void end().finally(() => process.exit(130));
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, interrupted);
  try {
    postgres = await BenchPostgres.start(place.folder);
    const file = JSON.stringify(await makeFile(place.folder.dir));
    const tell = (text: string) => console.error(text);
    const suite = new Suite({ options, postgres, folder: place.folder, file, tell });
    const measured = await suite.run();
    if (options.json) {
      const settings = { postgres: serverSettings };
      console.log(
        JSON.stringify(
          { format: 1, at: new Date().toISOString(), machine: machine(), options, settings, measured },
          null,
          2,
        ),
      );
      return;
    }
    for (const { details } of measured) for (const line of details) console.log(line);
    for (const { headline } of measured) console.log(headline);
  } finally {
    await end();
  }
}
