/** Footers on the way to a commit: whose are read, what becomes of an attempt whose manifest lies, and what is kept of it. */
import { createHash } from "node:crypto";
import type { ClaimedTask, CompletionAnswer } from "@trace/contracts";
import { afterEach, describe, expect, test } from "vitest";
import { World } from "../testing/world.ts";
import { encodeStruct, fileOf, footerWith } from "./testing/thrift.ts";
import type { FooterChecks } from "./whose.ts";

const dag = `dag: footers
jobs:
  ingest: { operator: ingest, outputs: [ds_in], source: { file: a.csv }, retries: 5 }
`;
const claimed = { rows: 3, min: "1", max: "3", type: "BIGINT", null_count: 0 };

let world: World;
afterEach(() => world.close());

async function open(checks: FooterChecks | undefined): Promise<ClaimedTask> {
  world = await World.open(checks === undefined ? {} : { footerChecks: checks });
  await world.deploy(dag);
  const [made] = await world.tasks.create(world.orgId, [{ dag: "footers", job: "ingest", priority: 0, payload: {} }]);
  const [task] = await world.claim(await world.session(), 1, [made?.task_id ?? ""]);
  if (task === undefined) throw new Error("nothing was claimed");
  return task;
}

/** Stages a real footer (`x BIGINT`, three rows, 1 to 3) and a manifest with these words, and completes. */
function complete(task: ClaimedTask, said: Partial<typeof claimed>, body = fileOf(encodeStruct(footerWith()))) {
  const { rows, type, ...stats } = { ...claimed, ...said };
  const staged = world.stage(task, task.staging[0], (manifest) => {
    const [file] = manifest.files;
    if (file === undefined) throw new Error("a manifest names a file");
    const sha256 = createHash("sha256").update(body).digest("hex");
    world.store.put(task.staging[0]?.bucket ?? "", file.key, body);
    const columns = [{ name: "x", type, ...stats }];
    const schema = [{ name: "x", type }];
    return {
      ...manifest,
      rows,
      bytes: body.length,
      schema,
      files: [{ ...file, rows, bytes: body.length, sha256, columns }],
    };
  });
  return world.complete(task, { kind: "success", outputs: [staged] });
}

async function kept(): Promise<unknown> {
  const [row] = await world.db.raw<{ columns: unknown }>("select columns from commit_files");
  return row?.columns;
}

const refused = (answer: CompletionAnswer) => [answer.accepted, answer.error?.code];

describe("footers of every job", () => {
  test("that bear the manifest out are committed with what it says", async () => {
    const task = await open("all");
    expect(await complete(task, {})).toMatchObject({ accepted: true, commits: [{ commit: 1, outcome: "committed" }] });
    expect(await kept()).toEqual([{ name: "x", type: "BIGINT", min: "1", max: "3", null_count: 0 }]);
  });

  test.each<[string, Partial<typeof claimed>, string]>([
    ["rows", { rows: 4 }, "the manifest says 4 rows; the footer says 3"],
    ["the smallest value", { min: "0" }, "'0' is the smallest value; the footer says '1'"],
    ["the largest value", { max: "9" }, "'9' is the largest value; the footer says '3'"],
    ["the type", { type: "INTEGER" }, "type INTEGER; the footer says BIGINT"],
    ["nulls", { null_count: 1 }, "1 nulls; the footer says 0"],
  ])("that contradict it in %s refuse the commit for good, and nothing is published", async (_what, said, words) => {
    const task = await open("all");
    const answer = await complete(task, said);
    expect(refused(answer)).toEqual([false, "TR-4013"]);
    expect(answer.error?.detail).toContain(words);
    expect(await kept()).toBeUndefined();
  });

  test("that are none refuse it, too", async () => {
    const task = await open("all");
    const answer = await complete(task, {}, Buffer.from("these are not the bytes of a Parquet file"));
    expect(refused(answer)).toEqual([false, "TR-4013"]);
  });
});

test.each<[string, FooterChecks | undefined]>([
  ["unless all are read", "untrusted"],
  ["where no footers are read at all", undefined],
])("files of our own operators are believed %s", async (_what, checks) => {
  const task = await open(checks);
  expect(await complete(task, { rows: 4 })).toMatchObject({ accepted: true });
});
