/** `trace`: the command line. `node packages/cli/src/main.ts deploy quakes.yaml`; through npm, `npm run trace -- deploy quakes.yaml`. */
import { processIo } from "./io.ts";
import { createProgram } from "./program.ts";
import { registerUp } from "./up/index.ts";

// `trace query ... | head`: who reads has read enough. Nothing is wrong, and there is nowhere left to say anything.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(0);
});

// Handed over here and not read through kit, which would load every server and client before `trace --help` can answer.
const program = createProgram(processIo(process.env));
registerUp(program.command);
const code = await program.run(process.argv.slice(2));
// A role or `up` may have set a code of its own; a 0 of ours does not hide it.
if (code !== 0) process.exitCode = code;
