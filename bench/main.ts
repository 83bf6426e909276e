/**
 * `npm run bench -- <suite> [options]`: measures what the project promises beside a peer, on one server, in one run.
 * Figures go to standard output, what happens meanwhile to standard error.
 */
import { runCommits } from "./commits/main.ts";
import { UsageError } from "./harness/usage.ts";
import { runIngest } from "./ingest/main.ts";
import { runTasks } from "./tasks/main.ts";

const suites: Readonly<Record<string, (args: readonly string[]) => Promise<void>>> = {
  tasks: runTasks,
  commits: runCommits,
  ingest: runIngest,
};

const [name, ...args] = process.argv.slice(2);
const suite = name !== undefined && Object.hasOwn(suites, name) ? suites[name] : undefined;
if (suite === undefined) {
  console.error(`What to measure is one of: ${Object.keys(suites).join(", ")}. For example: npm run bench -- tasks`);
  process.exit(2);
}
try {
  await suite(args);
  process.exit(0);
} catch (error) {
  const misused = error instanceof UsageError;
  console.error(misused ? error.message : error);
  process.exit(misused ? 2 : 1);
}
