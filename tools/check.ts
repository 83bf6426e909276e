/**
 * Everything that must hold before a change is merged, besides the tests: `npm run check`. One line per step with its
 * time; what a step printed is shown when it fails. Every step runs, whatever the one before it found.
 *
 * `--report=FILE` also writes `{ passed, failed }` as JSON, for .ci/run.
 */
import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");

/** Output is shown by us, and Biome colours it otherwise even for a file. */
const colors = process.stderr.isTTY === true ? "force" : "off";

interface Step {
  readonly name: string;
  /** Run by this Node, in the root. */
  readonly args: readonly string[];
  readonly repair: string;
}

const steps: readonly Step[] = [
  {
    name: "format and lint",
    args: ["node_modules/@biomejs/biome/bin/biome", "ci", `--colors=${colors}`, "--max-diagnostics=50"],
    repair: "npx biome check --write",
  },
  { name: "types", args: ["node_modules/typescript/bin/tsc", "-p", "."], repair: "mend the lines named above" },
  { name: "generated files", args: ["tools/generate.ts", "--check"], repair: "npm run generate" },
];

interface Ended {
  readonly ok: boolean;
  readonly output: string;
}

function run(step: Step): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, step.args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text;
      });
    }
    child.once("error", (error) => resolve({ ok: false, output: String(error) }));
    child.once("close", (code, signal) => {
      resolve({ ok: code === 0, output: signal === null ? output : `${output}\nended by ${signal}` });
    });
  });
}

async function main(args: readonly string[]): Promise<number> {
  const report = args.find((arg) => arg.startsWith("--report="))?.slice("--report=".length);
  const unknown = args.find((arg) => !arg.startsWith("--report="));
  if (unknown !== undefined) {
    console.error(`unknown argument '${unknown}'; usage: npm run check [-- --report=FILE]`);
    return 2;
  }
  let failed = 0;
  for (const step of steps) {
    const startedMs = performance.now();
    const { ok, output } = await run(step);
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    console.log(`${ok ? "ok    " : "FAILED"}  ${step.name.padEnd(16)} ${seconds.padStart(5)} s`);
    if (ok) continue;
    failed += 1;
    console.error(`${output.trimEnd()}\nrepair with: ${step.repair}\n`);
  }
  if (report !== undefined) await writeFile(report, JSON.stringify({ passed: steps.length - failed, failed }));
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
