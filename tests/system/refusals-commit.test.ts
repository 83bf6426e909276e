/**
 * What an attempt may not publish and a stale one may not say. Real objects are staged through S3 with the keys of the
 * attempt, and completed through the worker API with a live lease. What the keys open: attempt-keys.test.ts.
 */
import { createHash } from "node:crypto";
import type { AttemptResult, ClaimedTask, Manifest, StagedOutput } from "@trace/contracts";
import { HttpTransport } from "@trace/kit";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { datasetsBucket } from "./harness/access.ts";
import { makeParquet } from "./harness/reader.ts";
import { type RunningStack, startStack, tellIfFailed } from "./harness/stack.ts";
import { until } from "./harness/until.ts";
import { ByHand, placeOf } from "./refusals-byhand.ts";
import { expectTold, refusalOf, rowCounts } from "./refusals-traces.ts";

let stack: RunningStack;
let byHand: ByHand;
let parquet: Buffer;

beforeAll(async () => {
  stack = await startStack();
  parquet = (await makeParquet("select 1 as one")).bytes;
});

afterAll(() => stack?.stop());

beforeEach(async () => {
  byHand = await ByHand.open(stack.access);
});

afterEach(() => byHand.stop());

afterEach((context) => tellIfFailed(context, stack?.folder));

const sha256 = (data: Buffer) => createHash("sha256").update(data).digest("hex");

async function put(key: string, body: Buffer): Promise<void> {
  const options = { bucket: datasetsBucket, key, body, bytes: body.length, sha256: sha256(body), ifAbsent: true };
  expect(await byHand.storeOf(key).put(options)).toBe("stored");
}

type File = Manifest["files"][number];

const file = (key: string, changes: Partial<File> = {}): File => ({
  key,
  bytes: parquet.length,
  rows: 1,
  sha256: sha256(parquet),
  columns: [{ name: "one", type: "INTEGER" }],
  ...changes,
});

let staged = 0;

/** Stages a manifest of these files, as the last thing an attempt does; `changes` make it a lie. */
async function stage(
  claimed: ClaimedTask,
  files: readonly File[],
  changes: Partial<Manifest> = {},
): Promise<StagedOutput> {
  const { dataset, prefix } = placeOf(claimed);
  staged += 1;
  const manifest: Manifest = {
    format: "trace-manifest-1",
    dataset,
    task_id: claimed.task_id,
    lease_no: claimed.lease_no,
    partition: null,
    schema: [{ name: "one", type: "INTEGER" }],
    rows: files.length,
    bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
    files: [...files],
    ...changes,
  };
  return stageText(dataset, `${prefix}manifest${staged}.json`, JSON.stringify(manifest));
}

async function stageText(dataset: string, key: string, text: string): Promise<StagedOutput> {
  await put(key, Buffer.from(text));
  return { dataset, manifest_key: key, manifest_sha256: sha256(Buffer.from(text)) };
}

/** The lease is as live as before, and readers see what they saw. */
async function expectStillOnlyLeased(claimed: ClaimedTask): Promise<void> {
  const rows = await stack.access.sql(
    `select l.lease_no, (select count(*)::int from commits c where c.task_id = t.task_id) as commits,
            (select count(*)::int from attempts a where a.lease_no = l.lease_no) as ended
       from tasks t join leases l on l.task_id = t.task_id where t.public_id = $1`,
    [claimed.task_id],
  );
  expect(rows).toEqual([{ lease_no: claimed.lease_no, commits: 0, ended: 0 }]);
  const { head } = await stack.access.user.getDataset({ params: { name: placeOf(claimed).dataset } });
  expect(head).toBe(0);
}

test("a manifest that names what its attempt did not write is refused with its code, and the lease and the readers' view stay", async () => {
  const other = await byHand.claim("other_dag", "other_out");
  const foreignKey = await byHand.commit(other, parquet);
  const earlier = await byHand.claim("manifest_dag", "manifest_out");
  const earlierKey = `${placeOf(earlier).prefix}earlier.parquet`;
  await put(earlierKey, parquet);
  await byHand.giveUp(earlier.lease_token);
  const claimed = await byHand.claim("manifest_dag", "manifest_out");
  const { dataset, prefix } = placeOf(claimed);
  expect(prefix).not.toBe(placeOf(earlier).prefix);
  const key = `${prefix}part.parquet`;
  await put(key, parquet);
  await put(`${prefix}../climbed.parquet`, parquet);
  const before = await rowCounts(stack.access);

  const good = file(key);
  const cases: readonly [string, string, () => Promise<StagedOutput>][] = [
    ["a missing file", "TR-4002", () => stage(claimed, [file(`${prefix}missing.parquet`)])],
    ["a missing file beside a good one", "TR-4002", () => stage(claimed, [good, file(`${prefix}missing.parquet`)])],
    ["a file of an earlier attempt", "TR-4003", () => stage(claimed, [file(earlierKey)])],
    ["a committed file of another dataset", "TR-4003", () => stage(claimed, [file(foreignKey)])],
    ["a file reached by ..", "TR-4003", () => stage(claimed, [file(`${prefix}../climbed.parquet`)])],
    ["the prefix alone", "TR-4003", () => stage(claimed, [file(prefix)])],
    ["a wrong size", "TR-4004", () => stage(claimed, [file(key, { bytes: parquet.length + 1 })])],
    ["a wrong checksum", "TR-4004", () => stage(claimed, [file(key, { sha256: "0".repeat(64) })])],
    ["a file twice", "TR-4001", () => stage(claimed, [good, good])],
    ["totals that are not the sums", "TR-4001", () => stage(claimed, [good], { rows: 2 })],
    ["another lease", "TR-4001", () => stage(claimed, [good], { lease_no: earlier.lease_no })],
    ["another task", "TR-4001", () => stage(claimed, [good], { task_id: other.task_id })],
    ["another dataset", "TR-4001", () => stage(claimed, [good], { dataset: "other_out" })],
    ["no JSON", "TR-4001", () => stageText(dataset, `${prefix}text.json`, "{")],
    ["no manifest", "TR-4001", () => stageText(dataset, `${prefix}empty.json`, "{}")],
    [
      "a manifest that is not there",
      "TR-4001",
      async () => ({ ...(await stage(claimed, [good])), manifest_key: `${prefix}none.json` }),
    ],
    [
      "a manifest of another checksum",
      "TR-4001",
      async () => ({ ...(await stage(claimed, [good])), manifest_sha256: "0".repeat(64) }),
    ],
    [
      "a manifest of an earlier attempt",
      "TR-4003",
      async () => ({ ...(await stageText(dataset, `${placeOf(earlier).prefix}late.json`, "{}")) }),
    ],
    ["a manifest reached by ..", "TR-4003", () => stageText(dataset, `${prefix}../manifest.json`, "{}")],
    [
      "a dataset that is no output",
      "TR-4005",
      async () => ({ ...(await stage(claimed, [good])), dataset: "other_out" }),
    ],
  ];
  for (const [what, code, lie] of cases) {
    const answer = await byHand.complete(claimed.lease_token, { kind: "success", outputs: [await lie()] });
    expect(answer, what).toMatchObject({ accepted: false, error: { code } });
    expectTold(answer.error, code);
    expect(answer.commits, what).toBeUndefined();
    await expectStillOnlyLeased(claimed);
  }
  const none = await byHand.complete(claimed.lease_token, { kind: "success", outputs: [] });
  expectTold(none.error, "TR-4005");
  expect(await rowCounts(stack.access)).toEqual(before);

  // The same lease, without the lie: so it was the lie that was refused.
  const output = await stage(claimed, [good]);
  const answer = await byHand.complete(claimed.lease_token, { kind: "success", outputs: [output] });
  expect(answer).toMatchObject({ accepted: true, commits: [{ dataset, commit: 1 }] });
});

test("an attempt that has ended, expired or never was changes nothing, on either API", async () => {
  const claimed = await byHand.claim("stale_dag", "stale_out");
  const key = `${placeOf(claimed).prefix}late.parquet`;
  await put(key, parquet);
  const output = await stage(claimed, [file(key)]);
  const success: AttemptResult = { kind: "success", outputs: [output] };
  // Its worker stops beating: by the database's clock its session is over, reaped or not.
  await stack.access.sql(
    "update sessions set expires_at = clock_timestamp() - interval '1 s' where session_id = (select session_id from leases where lease_no = $1)",
    [claimed.lease_no],
  );
  expectTold((await byHand.complete(claimed.lease_token, success)).error, "TR-3001");
  const lost = () => refusalOf(stack.access.task.describe({}, { token: claimed.lease_token }));
  expectTold(await lost(), "TR-3001");
  expectTold(await refusalOf(stack.access.attemptKeys(claimed.lease_token)), "TR-3001");
  const second = await ByHand.open(stack.access);
  try {
    const again = await until("the reaper has queued it again", async () => second.claimTask(claimed.task_id), 20_000);
    expect(again).toMatchObject({ task_id: claimed.task_id });
    expect(placeOf(again).prefix).not.toBe(placeOf(claimed).prefix);
    const before = await rowCounts(stack.access);
    const forged = `${again.lease_token.slice(0, -2)}${again.lease_token.endsWith("AA") ? "BA" : "AA"}`;
    for (const token of [claimed.lease_token, forged, "A".repeat(54)]) {
      expectTold((await second.complete(token, success)).error, "TR-3001");
      const failure = { kind: "failure", error: { code: "TR-3007", detail: "a late failure" } } as const;
      expectTold((await second.complete(token, failure)).error, "TR-3001");
      const { items } = await stack.access.worker.release({ body: { items: [{ lease_token: token }] } });
      expectTold(items[0]?.error, "TR-3001");
    }
    expectTold(await lost(), "TR-3001");
    // The live attempt may not publish what the dead one staged.
    expectTold((await second.complete(again.lease_token, success)).error, "TR-4003");
    await expectStillOnlyLeased(again);
    expect(await rowCounts(stack.access)).toEqual(before);
    const ended = { kind: "failure", error: { code: "TR-5011", detail: "the first end stands" } } as const;
    expect(await second.complete(again.lease_token, ended)).toMatchObject({ accepted: true, task_state: "dead" });
    const different = await second.complete(again.lease_token, { kind: "snooze", delay_ms: 1 });
    expectTold(different.error, "TR-3003");
    expect(await second.complete(again.lease_token, ended)).toMatchObject({ accepted: true, task_state: "dead" });
  } finally {
    await second.stop();
  }
  const beat = stack.access.worker.heartbeat({ params: { session_id: byHand.sessionId }, body: { leases: [] } });
  expectTold(await refusalOf(beat), "TR-3002");
});

test("a completion that names two outputs of one dataset, or one that is malformed, is refused whole", async () => {
  const claimed = await byHand.claim("twice_dag", "twice_out");
  const key = `${placeOf(claimed).prefix}part.parquet`;
  await put(key, parquet);
  const output = await stage(claimed, [file(key)]);
  const twice = await byHand.complete(claimed.lease_token, { kind: "success", outputs: [output, output] });
  expectTold(twice.error, "TR-4005");
  const transport = new HttpTransport({
    baseUrl: stack.access.endpoints.worker_api,
    token: () => Promise.resolve(stack.folder.secret("worker-token").split("\n")[0] ?? ""),
  });
  try {
    for (const result of [{ kind: "win" }, { kind: "success", outputs: [{ ...output, manifest_sha256: "x" }] }]) {
      const body = { items: [{ lease_token: claimed.lease_token, result }] };
      const call = transport.send({
        method: "POST",
        path: "/v1/completions",
        body,
        signal: undefined,
        token: undefined,
      });
      expectTold(await refusalOf(call), "TR-1002");
    }
  } finally {
    await transport.stop();
  }
  await expectStillOnlyLeased(claimed);
  await byHand.giveUp(claimed.lease_token);
});
