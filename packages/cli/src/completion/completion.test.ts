/** Completion: what fits where, and the scripts run by a real shell that calls the real program. */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { TraceError } from "@trace/contracts";
import type { Command } from "commander";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createProgram } from "../program.ts";
import { FakeStack } from "../testing/fake-stack.ts";
import { Harness } from "../testing/harness.ts";
import { completedTask, historyCommit, sampleDag, sampleDataset, samplePin } from "../testing/samples.ts";
import { registerUp } from "../up/index.ts";
import { knownKinds } from "./kinds.ts";

const main = fileURLToPath(new URL("../main.ts", import.meta.url));
const stack = new FakeStack();
const harness = () => new Harness({ cwd: stack.cwd, command: [process.execPath, main] });

beforeAll(async () => {
  await stack.start();
  stack.answers.listDatasets = async () => ({
    datasets: [sampleDataset(), sampleDataset({ name: "quakes_daily", head: 0 }), sampleDataset({ name: "by_region" })],
  });
  stack.answers.listDags = async () => ({ dags: [sampleDag()] });
  stack.answers.listTasks = async () => ({ tasks: [completedTask()], next: null });
  stack.answers.listPins = async () => ({ pins: [samplePin()] });
  stack.answers.listCommits = async ({ params }) => {
    if (params.name !== "quakes") throw new TraceError("TR-1006", { detail: "no such dataset" });
    const purged = historyCommit({ commit: 14, purged_at: "2026-11-23T08:00:10.000Z" });
    return { commits: [historyCommit({ commit: 16 }), historyCommit({ commit: 15 }), purged], next: null };
  };
  stack.answers.listPartitions = async () => ({
    dataset: "quakes",
    generation: 1,
    commit: 15,
    partitions: [],
    partitions_total: 0,
    missing: ["2001-03"],
    next: null,
  });
});
afterAll(() => stack.stop());

/** Values alone. */
async function fits(...words: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await harness().run("__complete", "--", ...words);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout.split("\n").flatMap((line) => (line === "" ? [] : [line.split("\t")[0] ?? ""]));
}

test("commands and what is below them", async () => {
  expect(await fits("da")).toEqual(["dataset"]);
  expect(await fits("dataset", "p")).toEqual(["preview", "partitions", "pin", "pins", "purge"]);
  expect(await fits("")).not.toContain("__complete");
  expect(await fits("nothing", "")).toEqual([]);
});

test("options, own and global, and words that an option takes", async () => {
  expect(await fits("query", "--f")).toEqual(["--format", "--force"]);
  expect(await fits("--json", "query", "--js")).toEqual(["--json"]);
  expect(await fits("query", "FROM quakes", "--format", "")).toEqual(["table", "csv", "json", "jsonl"]);
  expect(await fits("query", "--format=j")).toEqual(["json", "jsonl"]);
  expect(await fits("query", "--format", "=", "j")).toEqual(["json", "jsonl"]);
  expect(await fits("task", "list", "--state", "d")).toEqual(["dead"]);
});

test("names that the running stack knows", async () => {
  expect(await fits("dataset", "show", "q")).toEqual(["quakes", "quakes_daily"]);
  expect(await fits("run", "")).toEqual(["quakes"]);
  expect(await fits("run", "quakes", "--job", "")).toEqual(["ingest_quakes"]);
  expect(await fits("task", "create", "quakes.")).toEqual(["quakes.ingest_quakes"]);
  expect(await fits("task", "cancel", completedTask().task_id, "0198")).toEqual([completedTask().task_id]);
  expect(await fits("dataset", "diff", "quakes", "1")).toEqual(["16", "15"]);
  expect(await fits("dataset", "revert", "quakes", "--to", "")).toEqual(["16", "15"]);
  expect(await fits("dataset", "repair", "quakes", "--partition", "")).toEqual(["2001-03"]);
  expect(await fits("dataset", "unpin", "")).toEqual([samplePin().pin_id]);
  expect(await fits("explain", "TR-402")).toContain("TR-4021");
  expect(await fits("dataset", "show", "quakes", "")).toEqual([]);
});

test("a value that is a file is left to the shell, a free text to the person", async () => {
  expect(await fits("deploy", "")).toEqual([":file"]);
  expect(await fits("--state", "")).toEqual([":folder"]);
  expect(await fits("query", "SEL")).toEqual([]);
});

test("without a stack, with a foreign one, or with one that refuses, there are no names and nothing is said", async () => {
  expect(await fits("--state", "/nowhere", "dataset", "show", "")).toEqual([]);
  expect(await fits("--url", "http://127.0.0.1:1", "dataset", "show", "")).toEqual([]);
  expect(await fits("dataset", "diff", "other", "")).toEqual([]);
});

test("who presses Tab does not wait for a stack that hangs", async () => {
  let answer = () => {};
  const before = stack.answers.listDatasets;
  stack.answers.listDatasets = () => new Promise((_, reject) => (answer = () => reject(new Error("late"))));
  const hurried = new Harness({ cwd: stack.cwd, passMs: 1_000 });
  expect((await hurried.run("__complete", "--", "dataset", "show", "")).stdout).toBe("");
  answer();
  if (before !== undefined) stack.answers.listDatasets = before;
});

function leaves(command: Command): Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leaves);
}

test("every argument and every option that takes a value says what it takes", () => {
  const io = new Harness({ cwd: "/" }).io();
  const { command } = createProgram(io);
  registerUp(command);
  const visible = leaves(command).filter((leaf) => !leaf.name().startsWith("__"));
  expect(visible.length).toBeGreaterThan(30);
  for (const leaf of visible) {
    for (const argument of leaf.registeredArguments) {
      expect([leaf.name(), argument.name(), knownKinds.argument(leaf, argument)]).not.toContain(undefined);
    }
    for (const option of leaf.options.filter((one) => one.required || one.optional)) {
      expect([leaf.name(), option.long, knownKinds.option(leaf, option)]).not.toContain(undefined);
    }
  }
});

const run = promisify(execFile);

/** Sources the script in bash and presses Tab behind `words`. */
async function tab(script: string, cwd: string, ...words: string[]): Promise<string[]> {
  const press = `source "$1"; shift; COMP_WORDS=(trace "$@"); COMP_CWORD=$#; _trace; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = await run("bash", ["--norc", "-c", press, "bash", script, ...words], {
    cwd,
    env: { PATH: process.env.PATH },
  });
  expect(stderr).toBe("");
  return stdout.split("\n").filter((line) => line !== "");
}

test("bash completes commands, live names and files by the script", async () => {
  const folder = mkdtempSync(join(tmpdir(), "trace-tab-"));
  try {
    const script = join(folder, "trace.bash");
    const printed = await harness().run("completion", "bash");
    expect([printed.code, printed.stderr]).toEqual([0, ""]);
    writeFileSync(script, printed.stdout);
    writeFileSync(join(folder, "my dag.yaml"), "");
    expect(await tab(script, stack.cwd, "dataset", "hi")).toEqual(["history"]);
    expect(await tab(script, stack.cwd, "dataset", "show", "quakes_")).toEqual(["quakes_daily"]);
    expect(await tab(script, folder, "deploy", "my")).toEqual(["my dag.yaml"]);
    expect(await tab(script, "/", "dataset", "show", "")).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 60_000);

const present = (shell: string) => existsSync(`/usr/bin/${shell}`);

test.runIf(present("zsh"))("zsh reads its script", async () => {
  const { stdout } = await harness().run("completion", "zsh");
  await run("zsh", ["-n", "-c", stdout]);
});

test.runIf(present("fish"))(
  "fish completes by its script",
  async () => {
    const { stdout } = await harness().run("completion", "fish");
    const pressed = await run("fish", ["--no-config", "-c", `${stdout}\ncomplete -C 'trace dataset hi'`], {
      cwd: stack.cwd,
    });
    expect(pressed.stdout).toContain("history\tlist commits, newest first");
  },
  30_000,
);

test("a shell that is not known is wrong use with those that are", async () => {
  const { code, stdout, stderr } = await harness().run("completion", "tcsh");
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toContain("bash, zsh, fish");
});
