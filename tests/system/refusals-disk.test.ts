/**
 * A full disk under the object store. The stack runs in a mount namespace of its own in which its object folder is a tiny
 * file system with ballast in it; removing the ballast is what frees the space. Nothing is mounted outside the namespace,
 * so nothing is left mounted whatever happens. Skipped where the machine allows no such namespace.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { Access } from "./harness/access.ts";
import { TestFolder } from "./harness/folder.ts";
import { untilNoneOf } from "./harness/processes.ts";
import { tellIfFailed } from "./harness/stack.ts";
import { until } from "./harness/until.ts";
import { deploy, mainFile } from "./harness/work.ts";
import { expectTold, filesBelow, isWorkersOwn, rowCounts } from "./refusals-traces.ts";

const storeBytes = 6 * 1024 * 1024;
/** Room left beside the ballast: enough for the log of an attempt, not for its result. */
const roomBytes = 256 * 1024;
const rows = 300_000;
const readyMsMax = 60_000;

/**
 * The command that runs `argv` with an empty file system at `folder`. An ordinary user may mount only in a user namespace
 * where it is root, and leaves that again at once by a second one: Postgres refuses to run as root.
 */
function inNamespace(folder: string, argv: readonly string[]): readonly [string, string[]] {
  const mount = 'mount -t tmpfs -o size="$1",mode=700 tmpfs "$2" && shift 2 && exec "$@"';
  const inner = ["sh", "-c", mount, "sh", String(storeBytes), folder];
  const uid = process.getuid?.() ?? 0;
  if (uid === 0) return ["unshare", ["-m", ...inner, ...argv]];
  const back = ["unshare", "-U", `--map-user=${uid}`, `--map-group=${process.getgid?.() ?? uid}`];
  return ["unshare", ["-rm", ...inner, ...back, ...argv]];
}

function isAllowed(): boolean {
  const folder = mkdtempSync(join(tmpdir(), "trace-system-disk-"));
  try {
    const [command, args] = inNamespace(folder, ["true"]);
    return spawnSync(command, args, { stdio: "ignore" }).status === 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe.skipIf(!isAllowed())("with a full disk under the object store", () => {
  let folder: TestFolder;
  let up: ChildProcess;
  let access: Access;
  let roots: string;
  let stderr = "";

  /** The object folder as the stack sees it. */
  const objects = () => join(`/proc/${up.pid}/root`, folder.dir, "objects");
  const ballast = () => join(objects(), "ballast");

  beforeAll(async () => {
    folder = await TestFolder.create();
    roots = join(folder.dir, "roots");
    mkdirSync(join(folder.dir, "objects"), { recursive: true, mode: 0o700 });
    mkdirSync(roots);
    // Numbers that do not compress: the result is some megabytes.
    const lines = Array.from({ length: rows }, (_, index) => `${(index * 2_654_435_761) % 4_294_967_296}`);
    writeFileSync(join(roots, "numbers.csv"), `n\n${lines.join("\n")}\n`);
    const argv = [process.execPath, mainFile, "up", "--state", folder.dir, "--root", roots, "--json", "--quiet"];
    const [command, args] = inNamespace(join(folder.dir, "objects"), argv);
    up = spawn(command, args, { env: { PATH: process.env.PATH ?? "" }, stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "";
    up.stdout?.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    up.stderr?.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    await until(
      "the stack is up",
      () => {
        if (up.exitCode !== null) throw new Error(`it ended: ${stderr}`);
        return stdout.trimEnd().endsWith("}");
      },
      readyMsMax,
    );
    access = new Access(folder);
    await until("the worker is ready", () => access.isReady("worker"), readyMsMax);
  });

  afterAll(async () => {
    await access?.stop();
    up?.kill("SIGTERM");
    await untilNoneOf(folder.marks, readyMsMax);
    folder.remove();
  });

  afterEach((context) => tellIfFailed(context, folder));

  const freeBytes = () => {
    const { bavail, bsize } = statfsSync(objects());
    return bavail * bsize;
  };

  /** Objects of the datasets bucket and uploads under way or left over. */
  const leftBehind = () => [
    ...filesBelow(join(objects(), "b", "trace-datasets")),
    ...filesBelow(join(objects(), "tmp")),
  ];

  test("the attempt fails with 'store full' and leaves nothing; once there is room again, its retry commits once", async () => {
    writeFileSync(ballast(), Buffer.alloc(freeBytes() - roomBytes, 1));
    await deploy(
      access,
      "dag: full\njobs:\n  fill:\n    operator: ingest\n    source: {file: numbers.csv}\n    outputs: [full]\n    retries: 3\n",
    );
    const before = await rowCounts(access);
    const { tasks } = await access.user.run({ params: { dag: "full" }, body: {} });
    const task_id = tasks[0]?.task_id ?? "";
    const task = () => access.user.getTask({ params: { task_id } });
    const failed = await until(
      "the first attempt has failed",
      async () => {
        const now = await task();
        return now.failures === 1 && now;
      },
      readyMsMax,
    );
    expect(failed).toMatchObject({ state: "queued", attempt: 1, commits: [] });
    expectTold(failed.error, "TR-4007");
    expect(failed.attempts).toMatchObject([{ state: "failed", error: { code: "TR-4007" } }]);
    expect(leftBehind()).toEqual([]);
    expect(filesBelow(join(folder.dir, "work")).filter((name) => !isWorkersOwn(name))).toEqual([]);
    expect(await rowCounts(access)).toEqual({ ...before, runs: before.runs + 1, tasks: before.tasks + 1 });
    expect((await access.user.getDataset({ params: { name: "full" } })).head).toBe(0);

    // Still full: the next attempt fails alike, and is counted.
    const dueNow = () =>
      access.sql(
        "update ready set run_at = clock_timestamp() where task_id = (select task_id from tasks where public_id = $1)",
        [task_id],
      );
    await dueNow();
    await until("the second attempt has failed", async () => (await task()).failures === 2, readyMsMax);
    expectTold((await task()).error, "TR-4007");
    expect(leftBehind()).toEqual([]);

    rmSync(ballast());
    await dueNow();
    const ended = await until(
      "the task is over",
      async () => {
        const now = await task();
        return now.state !== "queued" && now.state !== "running" && now;
      },
      readyMsMax,
    );
    expect(ended).toMatchObject({
      state: "completed",
      attempt: 3,
      failures: 2,
      commits: [{ dataset: "full", commit: 1 }],
    });
    const { datasets } = await access.user.resolveDatasets({ body: { names: ["full"] } });
    expect(datasets[0]?.files.map((file) => file.rows)).toEqual([rows]);
    // Of all attempts only the one that committed has files: its data and its manifest.
    expect(leftBehind()).toHaveLength(2);
  });
});
