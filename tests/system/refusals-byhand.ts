/**
 * A worker played by the test: it claims tasks of a queue of its own, which the stack's worker does not look at, and stores
 * objects with the keys of each attempt.
 */
import { createHash } from "node:crypto";
import {
  type AttemptResult,
  type ClaimedTask,
  type CompletionAnswer,
  claimedTasks,
  type Manifest,
} from "@trace/contracts";
import type { ObjectStore } from "@trace/kit";
import type { Access } from "./harness/access.ts";
import { deploy } from "./harness/work.ts";

const queue = "by_hand";
/** Well below the 15 s after which a session without a beat is over. */
const beatEveryMs = 3_000;

/** A DAG whose one job, `fetch`, would write the dataset `output`: nobody runs it but the test. */
function dagWriting(dag: string, output: string): string {
  return `dag: ${dag}
jobs:
  fetch:
    operator: ingest
    source: { file: nothing.csv }
    outputs: [${output}]
    timeout: 10m
`;
}

/** Where an attempt stages its one output. */
export function placeOf(claimed: ClaimedTask) {
  const [place] = claimed.staging;
  if (place === undefined) throw new Error("the attempt writes nothing");
  return place;
}

const sha256 = (data: Buffer) => createHash("sha256").update(data).digest("hex");

export class ByHand {
  readonly sessionId: string;
  readonly #access: Access;
  readonly #beat: NodeJS.Timeout;
  /** By staging prefix: the keys of each attempt, asked for when it was claimed. */
  readonly #stores = new Map<string, ObjectStore>();
  #failed: unknown;

  private constructor(access: Access, sessionId: string) {
    this.#access = access;
    this.sessionId = sessionId;
    this.#beat = setInterval(() => {
      access.worker.heartbeat({ params: { session_id: sessionId }, body: { leases: [] } }).catch((error: unknown) => {
        this.#failed ??= error;
      });
    }, beatEveryMs);
  }

  static async open(access: Access): Promise<ByHand> {
    await access.sql(
      `insert into queues (org_id, name) select org_id, $1 from orgs where name = 'main' on conflict do nothing`,
      [queue],
    );
    const body = { worker: "by-hand", host: "test", pid: process.pid, slots: 1 };
    return new ByHand(access, (await access.worker.openSession({ body })).session_id);
  }

  /** Deploys a DAG that writes `output`, starts it, and claims its task. */
  async claim(dag: string, output: string): Promise<ClaimedTask> {
    await deploy(this.#access, dagWriting(dag, output));
    await this.#access.sql(
      `update job_versions set queue_id = (select queue_id from queues where name = $1)
        where job_id in (select j.job_id from jobs j join dags d on d.dag_id = j.dag_id where d.name = $2)`,
      [queue, dag],
    );
    const run = await this.#access.user.run({ params: { dag }, body: {} });
    return this.claimTask(run.tasks[0]?.task_id ?? "");
  }

  /** A task that is ready in the queue of the test. */
  async claimTask(taskId: string): Promise<ClaimedTask> {
    const body = { session_id: this.sessionId, queue, task_ids: [taskId], max: 1 };
    const [task] = claimedTasks(await this.#access.worker.claim({ body }));
    if (task?.task_id !== taskId) throw new Error(`task ${taskId} cannot be claimed`, { cause: this.#failed });
    const storeOf = await this.#access.attemptStores(task.lease_token);
    for (const { prefix } of task.staging) this.#stores.set(prefix, storeOf(prefix));
    return task;
  }

  /** What the attempt whose prefix a key begins with writes with, whether its lease lives still or not. */
  storeOf(key: string): ObjectStore {
    for (const [prefix, store] of this.#stores) if (key.startsWith(prefix)) return store;
    throw new Error(`no attempt of this test writes ${key}`);
  }

  async complete(leaseToken: string, result: AttemptResult): Promise<CompletionAnswer> {
    const { items } = await this.#access.worker.complete({ body: { items: [{ lease_token: leaseToken, result }] } });
    const [answer] = items;
    if (answer === undefined) throw new Error("no answer");
    return answer;
  }

  /** Stores a file of one row, `one` INTEGER, with its manifest, and commits it. Answers with the file's key. */
  async commit(claimed: ClaimedTask, parquet: Buffer): Promise<string> {
    const { bucket, dataset, prefix } = placeOf(claimed);
    const put = async (key: string, body: Buffer) => {
      const options = { bucket, key, body, bytes: body.length, sha256: sha256(body), ifAbsent: true };
      if ((await this.storeOf(key).put(options)) !== "stored") throw new Error(`${key} was there`);
    };
    const key = `${prefix}good.parquet`;
    const bytes = parquet.length;
    const columns = [{ name: "one", type: "INTEGER" }];
    const manifest: Manifest = {
      format: "trace-manifest-1",
      dataset,
      task_id: claimed.task_id,
      lease_no: claimed.lease_no,
      partition: null,
      schema: columns,
      rows: 1,
      bytes,
      files: [{ key, bytes, rows: 1, sha256: sha256(parquet), columns }],
    };
    const text = Buffer.from(JSON.stringify(manifest));
    const manifest_key = `${prefix}manifest.json`;
    await put(key, parquet);
    await put(manifest_key, text);
    const outputs = [{ dataset, manifest_key, manifest_sha256: sha256(text) }];
    const answer = await this.complete(claimed.lease_token, { kind: "success", outputs });
    if (!answer.accepted || answer.commits?.length !== 1) throw new Error(`no commit: ${JSON.stringify(answer)}`);
    return key;
  }

  /** Ends an attempt so that its task is dead and holds nothing. */
  async giveUp(leaseToken: string): Promise<void> {
    await this.complete(leaseToken, { kind: "failure", error: { code: "TR-5011", detail: "given up by the test" } });
  }

  async stop(): Promise<void> {
    clearInterval(this.#beat);
    await this.#access.worker.closeSession({ params: { session_id: this.sessionId } });
  }
}
