/**
 * `--json` of every command there is: standard output is one JSON document and standard error says nothing; a failure is one
 * line of JSON on standard error and nothing on standard output. A command that is not in the table fails the last test.
 */
import { cpSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createProgram } from "./program.ts";
import { answerEverything } from "./testing/answers.ts";
import { FakeEngine } from "./testing/fake-engine.ts";
import { FakeStack } from "./testing/fake-stack.ts";
import { Harness } from "./testing/harness.ts";
import { completedTask, sampleNowMs, samplePin } from "./testing/samples.ts";
import { registerUp } from "./up/index.ts";

interface Row {
  /** Works. */
  readonly good: readonly string[];
  /** Fails by itself; without it the command fails because there is no stack, and because the stack refuses. */
  readonly bad?: readonly string[];
  /** A document on each line: what comes is written as it comes. */
  readonly lines?: boolean;
  /** Other than 0. */
  readonly code?: number;
}

const task = completedTask().task_id;
const table: Readonly<Record<string, Row>> = {
  init: { good: ["new", "--template", "quakes"], bad: ["x", "--template", "nothing"] },
  deploy: { good: ["quakes.yaml"] },
  run: { good: ["quakes"] },
  "task list": { good: [] },
  "task show": { good: [task] },
  "task logs": { good: [task, "--follow"], lines: true },
  "task watch": { good: [task] },
  "task create": { good: ["quakes.ingest_quakes"] },
  "task cancel": { good: [task] },
  "task retry": { good: ["--dag", "quakes", "--yes"] },
  "task replay": { good: [task] },
  "dataset list": { good: [] },
  "dataset show": { good: ["quakes"] },
  "dataset history": { good: ["quakes"] },
  "dataset diff": { good: ["quakes", "--key", "time"] },
  "dataset preview": { good: ["quakes"] },
  "dataset lineage": { good: ["quakes"] },
  "dataset partitions": { good: ["quakes"] },
  "dataset repair": { good: ["quakes", "--yes"] },
  "dataset revert": { good: ["quakes", "--to", "2", "--yes"] },
  "dataset pin": { good: ["quakes"] },
  "dataset unpin": { good: [samplePin().pin_id] },
  "dataset pins": { good: [] },
  "dataset purge": { good: ["quakes", "--before", "2", "--confirm", "quakes"] },
  "outbox list": { good: [] },
  "outbox requeue": { good: ["--all", "--yes"] },
  query: { good: ["FROM quakes"] },
  // Its findings are the answer, good or bad; here the clock is another one than the stack's.
  doctor: { good: [], bad: ["--no-such-flag"], code: 1 },
  explain: { good: ["TR-1007"], bad: ["TR-0000"] },
  schema: { good: [], bad: ["more"] },
  completion: { good: ["bash"], bad: ["tcsh"] },
};

/** Run until they are stopped, and write a log: their answers are other commands'. */
const foreground = ["up", "start", "dispatcher", "worker", "localcloud", "__complete"];

const stack = new FakeStack();
const refusing = new FakeStack();

function harnessOf(cwd: string): Harness {
  return new Harness({ cwd, nowMs: sampleNowMs, parts: { engine: async () => new FakeEngine() } });
}

beforeAll(async () => {
  await Promise.all([stack.start(), refusing.start()]);
  answerEverything(stack);
  for (const folder of [stack.cwd, refusing.cwd]) {
    const example = fileURLToPath(new URL("../../../examples/quakes/quakes.yaml", import.meta.url));
    cpSync(example, join(folder, "quakes.yaml"));
  }
});
afterAll(() => Promise.all([stack.stop(), refusing.stop()]));

function parsed(text: string, lines = false): unknown[] {
  expect(text.endsWith("\n")).toBe(true);
  return (lines ? text.trimEnd().split("\n") : [text]).map((one) => JSON.parse(one) as unknown);
}

function expectFailure({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }): void {
  expect(stdout).toBe("");
  expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  const { error } = JSON.parse(stderr) as {
    error: { code: string; title: string; status: number; retryable: boolean };
  };
  expect(error.code).toMatch(/^TR-\d{4}$/);
  expect(error).toMatchObject({ title: expect.any(String), status: expect.any(Number) });
  expect(code).toBe(error.code === "TR-7001" ? 2 : error.retryable ? 4 : 1);
}

describe.each(Object.entries(table))("%s", (name, row) => {
  const words = name.split(" ");

  test("answers with JSON alone", async () => {
    const { code, stdout, stderr } = await harnessOf(stack.cwd).run(...words, ...row.good, "--json");
    expect({ code, stderr }).toEqual({ code: row.code ?? 0, stderr: "" });
    for (const document of parsed(stdout, row.lines)) expect(typeof document).toBe("object");
  });

  test("says nothing beside the answer with --quiet, and nothing twice", async () => {
    const { stdout, stderr } = await harnessOf(stack.cwd).run(
      "--quiet",
      ...words,
      ...row.good,
      ...(name === "init" ? ["--force"] : []),
    );
    expect(stderr.replace(/^warning .*$/m, "").trim()).toBe("");
    expect(stdout).not.toContain("undefined");
  });

  if (row.bad === undefined) {
    test("fails with one line of JSON when no stack is there, and when the stack refuses", async () => {
      expectFailure(await harnessOf(refusing.cwd).run("--state", "/nowhere", ...words, ...row.good, "--json"));
      expectFailure(await harnessOf(refusing.cwd).run(...words, ...row.good, "--json"));
    });
  }
  test("fails with one line of JSON when it is used wrongly", async () => {
    expectFailure(await harnessOf(stack.cwd).run(...words, ...(row.bad ?? ["--no-such-flag"]), "--json"));
  });
});

function leaves(command: Command, above: readonly string[] = []): string[] {
  if (command.commands.length === 0) return [above.join(" ")];
  return command.commands.flatMap((child) => leaves(child, [...above, child.name()]));
}

test("every command is in the table", () => {
  const { command } = createProgram(harnessOf("/").io());
  registerUp(command);
  const known = [...Object.keys(table), ...foreground];
  expect(leaves(command).sort()).toEqual(known.sort());
});
