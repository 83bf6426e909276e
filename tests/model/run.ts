/**
 * Runs the model of a task's life (lifecycle.pml) through Spin, configuration by configuration, and compares each verdict
 * with the one expected: the design holds, and each planted defect is found. Exhaustive searches only.
 *
 *   npm run model [-- --only=NAME] [--deep] [--report=FILE]
 *
 * `--deep` adds larger bounds, `--only` runs one configuration and tells its counterexample, `--report` writes
 * `{ passed, failed }` as JSON, for .ci/run.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { boundsInWords, type Configuration, configurations, flagsOf, shownCounterexample } from "./configurations.ts";
import {
  type Coverage,
  coverageOf,
  deadPlaces,
  isAsExpected,
  notSeen,
  placesOf,
  readCounterexample,
  readSearch,
  type SearchEnd,
} from "./verdict.ts";

/** Searches side by side. */
const searchesInFlight = 2;
/** Of one search. */
const limits = {
  usual: { memoryMaxMb: 1_500, searchMaxMs: 600_000, hashBits: 23 },
  deep: { memoryMaxMb: 8_000, searchMaxMs: 3_600_000, hashBits: 26 },
};
/** Steps on a path; the longest is known to be a hundredth of it. */
const depthMax = 200_000;
const outputMaxBytes = 64 << 20;
/** Spin writing a search and gcc compiling it; fetching the package of Spin. */
const toolMaxMs = 120_000;
const bringMaxMs = 300_000;

const root = join(import.meta.dirname, "../..");
const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith(".pml"));
const texts = files.map((name) => [name, readFileSync(join(import.meta.dirname, name), "utf8")] as const);

function places(words: string): Map<string, string> {
  return new Map(texts.flatMap(([name, text]) => [...placesOf(name, text, words)]));
}

const properties = places("property");
const witnessPlaces = new Map([...places("witness:")].map(([place, words]) => [place, words.replace("witness: ", "")]));
/** What the observer says of a state in which a property is broken: no search of a sound design comes by. */
const onlyWhenBroken = new Set(places("only when broken").keys());

interface Ran {
  readonly exit: number | string;
  /** All it said, and what of that was on standard output. */
  readonly out: string;
  readonly printed: string;
}

interface Verdict {
  readonly one: Configuration;
  readonly words: string;
  readonly end: SearchEnd;
  readonly seconds: number;
  readonly missing: readonly string[];
  readonly coverage: Coverage | undefined;
  /** Of a defect, and of a design that does not hold. */
  readonly steps: readonly string[];
}

/** How a search is built. `tell` makes the counterexample readable and short; `watch` shows what was come by. */
type Way = "watch" | "tell" | "plain";

/** Ends what runs: on a signal, and when one configuration could not be run at all. */
const ending = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => ending.abort(signal));

function run(command: string, args: readonly string[], cwd: string, timeoutMs = toolMaxMs): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const options = { cwd, timeout: timeoutMs, maxBuffer: outputMaxBytes, signal: ending.signal };
    execFile(command, args, options, (error, stdout, stderr) => {
      if (ending.signal.aborted) reject(new Error(`ended by ${ending.signal.reason}`));
      else
        resolve({
          exit: error === null ? 0 : (error.code ?? error.signal ?? 1),
          out: stdout + stderr,
          printed: stdout,
        });
    });
  });
}

async function mustRun(command: string, args: readonly string[], cwd: string): Promise<void> {
  const { exit, out } = await run(command, args, cwd);
  if (exit !== 0) throw new Error(`'${command} ${args.join(" ")}' ended with ${exit}:\n${out}`);
}

interface Searched {
  readonly end: SearchEnd;
  readonly out: string;
  readonly seconds: number;
}

/** What Spin is given besides the bounds; the same again when it replays a trail. */
function modelFlags(one: Configuration, way: Way): string[] {
  // -o3: without it Spin merges statements and cannot tell by which it came.
  const more = { watch: ["-o3", "-DWITNESSES"], tell: ["-DTOLD"], plain: [] };
  return [...more[way], ...flagsOf(one)];
}

async function search(spin: string, one: Configuration, way: Way, folder: string): Promise<Searched> {
  const { memoryMaxMb, searchMaxMs, hashBits } = one.deep ? limits.deep : limits.usual;
  await mustRun(spin, ["-a", ...modelFlags(one, way), join(import.meta.dirname, "lifecycle.pml")], folder);
  const live = one.looksAt === "liveness";
  // Breadth first finds the shortest way to an error, and the memory for it is there as errors are near.
  const kind = live ? ["-DNFAIR=4"] : way === "tell" ? ["-DSAFETY", "-DBFS"] : ["-DSAFETY"];
  // More of the compiler's time would not come back, and a defect is found before any of it does.
  const effort = way === "tell" ? "-O0" : "-O1";
  await mustRun("gcc", [effort, "-w", `-DMEMLIM=${memoryMaxMb}`, ...kind, "-o", "pan", "pan.c"], folder);
  const begunMs = performance.now();
  const args = [`-m${depthMax}`, `-w${hashBits}`, ...(live ? ["-a", "-f"] : [])];
  const { exit, out } = await run("./pan", args, folder, searchMaxMs);
  const seconds = (performance.now() - begunMs) / 1000;
  return { end: readSearch(out, exit, one.looksAt), out, seconds };
}

/** What went wrong, in the model's words, and the way to it. */
async function wrong(spin: string, one: Configuration, end: SearchEnd, folder: string) {
  const args = ["-k", "lifecycle.pml.trail", "-t", "-T", "-B", ...modelFlags(one, "tell")];
  const { out } = await run(spin, [...args, join(import.meta.dirname, "lifecycle.pml")], folder);
  const { steps, place } = readCounterexample(out);
  const property = end.cycle ? "property 5: what is created ends" : properties.get(place ?? "");
  return { steps, words: property ?? (end.stuck ? "nobody can go on" : `an error at ${place}`) };
}

async function verdictOf(spin: string, one: Configuration, folder: string): Promise<Verdict> {
  const sound = one.expected === "holds";
  const way: Way = !sound ? "tell" : one.looksAt === "safety" ? "watch" : "plain";
  const { end, out, seconds } = await search(spin, one, way, folder);
  let words = end.faults.length > 0 ? `no verdict: ${end.faults.join("; ")}` : "holds";
  let steps: readonly string[] = [];
  if (end.errors > 0) {
    // A design that was expected to hold was searched for proof; the same again, to tell.
    const told = way === "tell" ? end : (await search(spin, one, "tell", folder)).end;
    if (told.errors > 0) ({ words, steps } = await wrong(spin, one, told, folder));
    else words = `broken; the search for the shortest way there came to nothing: ${told.faults.join("; ")}`;
  }
  if (way !== "watch") return { one, words, end, seconds, missing: [], coverage: undefined, steps };
  const coverage = coverageOf((await run("./pan", ["-d"], folder)).out, out);
  const missing = notSeen(one.witnesses, witnessPlaces, coverage);
  return { one, words, end, seconds, missing, coverage, steps };
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

const columns = { name: 20, bounds: 56, states: 11, depth: 7, memory: 7, seconds: 7 };

function row(cells: readonly [string, string, string, string, string, string, string]): string {
  const [name, bounds, states, depth, memory, seconds, verdict] = cells;
  return [
    name.padEnd(columns.name),
    bounds.padEnd(columns.bounds),
    states.padStart(columns.states),
    depth.padStart(columns.depth),
    memory.padStart(columns.memory),
    seconds.padStart(columns.seconds),
    `  ${verdict}`,
  ].join("");
}

function asExpected({ one, words, missing }: Verdict): boolean {
  return isAsExpected(one.expected, words, missing);
}

function show(verdict: Verdict, told: boolean): void {
  const { one, words, end, seconds, missing, steps } = verdict;
  const counts = [String(end.states), String(end.depth), String(end.memoryMb), seconds.toFixed(1)] as const;
  const ok = asExpected(verdict);
  print(row([one.name, boundsInWords(one), ...counts, `${ok ? "ok" : "FAILED"}: ${words}`]));
  if (!ok) print(`    expected: ${one.expected}`);
  for (const name of missing) print(`    never came by: ${name}`);
  if (steps.length > 0 && (told || !ok)) print(`\n${steps.join("\n")}\n     broken: ${words}\n`);
}

async function searchAll(spin: string, chosen: readonly Configuration[], told: boolean): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  const waiting = [...chosen];
  const worker = async () => {
    for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) {
      const folder = mkdtempSync(join(tmpdir(), "trace-model-"));
      try {
        const verdict = await verdictOf(spin, one, folder);
        verdicts.push(verdict);
        show(verdict, told || one.name === shownCounterexample);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    }
  };
  await Promise.all(Array.from({ length: searchesInFlight }, worker));
  return verdicts;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { only: { type: "string" }, deep: { type: "boolean" }, report: { type: "string" } },
  });
  const { only, deep = false, report } = values;
  const chosen = configurations.filter((one) => (only === undefined ? deep || !one.deep : one.name === only));
  if (chosen.length === 0) {
    const names = configurations.map((one) => one.name).join(", ");
    process.stderr.write(`there is no configuration '${only}'; there are: ${names}\n`);
    return 2;
  }
  const oracle = await run(join(root, "tools/oracles/spin.sh"), [], root, bringMaxMs);
  if (oracle.exit !== 0) {
    process.stderr.write(`the model cannot be checked:\n${oracle.out}`);
    if (report !== undefined) writeFileSync(report, JSON.stringify({ passed: 0, failed: chosen.length }));
    return 1;
  }
  print("F failures, L lost leases: at so many a task is dead. R releases, S snoozes, P replays: at most so many.");
  print(row(["configuration", "bounds and steps", "states", "depth", "MB", "s", "verdict"]));
  const begunMs = performance.now();
  const verdicts = await searchAll(oracle.printed.trim(), chosen, only !== undefined);
  const failures = verdicts.filter((verdict) => !asExpected(verdict)).length;
  const coverages = verdicts.flatMap(({ coverage }) => coverage ?? []);
  const dead = only === undefined ? deadPlaces(coverages, onlyWhenBroken) : [];
  for (const place of dead) print(`FAILED: no search came by ${place}`);
  const failed = failures + (dead.length > 0 ? 1 : 0);
  const passed = verdicts.length - failures;
  print(`${passed} passed, ${failed} failed, in ${((performance.now() - begunMs) / 1000).toFixed(0)} s`);
  if (report !== undefined) writeFileSync(report, JSON.stringify({ passed, failed }));
  return failed === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  const stopped = ending.signal.aborted;
  ending.abort("a failure");
  process.stderr.write(`the model was not checked: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = stopped ? 143 : 1;
}
