/** Datasets with a history, for tests of what is read, reverted, purged and collected: one commit for each call. */
import type { ClaimedTask } from "@trace/contracts";
import { World, type WorldOptions } from "./world.ts";

/** `plain` has no partitions, `parts` three, `months` those of its rows, `log` is appended to; `derived` and `news` read them. */
export const registryDag = `dag: reg
jobs:
  plain: { operator: ingest, outputs: [plain], source: { file: a.csv } }
  other: { operator: ingest, outputs: [other], source: { file: a.csv } }
  split:
    operator: ingest
    partitions: { keys: [p1, p2, p3] }
    outputs: [parts]
    source: { file: a.csv }
    sql: select * from source where k = $partition
  months: { operator: ingest, outputs: [{ dataset: months, partition_by: month }], source: { file: a.csv } }
  log: { operator: ingest, outputs: [{ dataset: log, strategy: append }], source: { file: a.csv } }
  derived: { operator: sql, inputs: [plain], outputs: [derived], sql: "select 1" }
  news: { operator: sql, inputs: [{ dataset: log, read: new }], outputs: [{ dataset: news, strategy: append }], sql: "select 1" }
`;

export const caller = { orgId: 1, name: "ada" };

export class Registry {
  readonly world: World;

  private constructor(world: World) {
    this.world = world;
  }

  static async open(options: WorldOptions = {}): Promise<Registry> {
    const world = await World.open(options);
    await world.deploy(registryDag);
    return new Registry(world);
  }

  /** A task of the job, claimed: one that was triggered already, or a new one. */
  async take(job: string, partition?: string): Promise<ClaimedTask> {
    const find = async () => {
      const [row] = await this.world.db.raw<{ public_id: string }>(
        `select t.public_id from ready r join tasks t using (task_id) join jobs j using (job_id)
          where j.name = $1 and coalesce(t.output_partition, '') = $2 limit 1`,
        [job, partition ?? ""],
      );
      return row?.public_id;
    };
    await this.world.makeDue();
    let id = await find();
    if (id === undefined) {
      const item = { dag: "reg", job, priority: 0, payload: {}, ...(partition === undefined ? {} : { partition }) };
      const [made] = await this.world.tasks.create(this.world.orgId, [item]);
      if (made?.error !== undefined) throw new Error(JSON.stringify(made.error));
      id = await find();
    }
    const [task] = await this.world.claim(await this.world.session(), 1, [id ?? ""]);
    if (task?.task_id !== id) throw new Error(`nothing of ${job} was ready`);
    return task as ClaimedTask;
  }

  /** One commit of the job. Answers with the attempt that made it. */
  async commit(job: string, partition?: string): Promise<ClaimedTask> {
    const task = await this.take(job, partition);
    const answer = await this.world.succeed(task);
    if (!answer.accepted || answer.commits?.[0]?.outcome !== "committed") throw new Error(JSON.stringify(answer));
    return task;
  }

  /** The attempts whose files a reader sees, by lease number. */
  async leases(dataset: string, at: { version?: number; timestamp?: string; partitions?: string[] } = {}) {
    const { files } = await this.world.read(dataset, at);
    return files.map((file) => leaseOf(file.key));
  }

  async generation(dataset: string): Promise<number> {
    const [row] = await this.world.db.raw<{ id: number }>(
      "select current_generation_id as id from datasets where name = $1",
      [dataset],
    );
    return row?.id ?? 0;
  }

  async revert(dataset: string, to: number, partitions?: string[]) {
    const { head } = await this.world.datasets.get(this.world.orgId, dataset);
    return this.world.reverts.revert(caller, dataset, { to, expected_head: head, partitions });
  }

  /** Time passes for what waits to be deleted, and for who may write. */
  async later(): Promise<void> {
    await this.world.db.raw(`update garbage_files set not_before = clock_timestamp() - interval '1 second';
      update staging set write_until = clock_timestamp() - interval '1 second' where lease_no in (select lease_no from attempts)`);
  }

  keys(bucket = "trace-datasets"): string[] {
    return [...this.world.store.objects.keys()].filter((key) => key.startsWith(`${bucket}/`)).sort();
  }
}

/** The lease number in a key, as `stagingPrefix` writes it. */
export function leaseOf(key: string): number {
  return Number.parseInt(/\/a\/([0-9a-z]{11})/.exec(key)?.[1] ?? "", 36);
}
