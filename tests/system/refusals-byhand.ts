/** A worker played by the test: it claims tasks of a queue of its own, which the stack's worker does not look at. */
import { type AttemptResult, type ClaimedTask, type CompletionAnswer, claimedTasks } from "@trace/contracts";
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

export class ByHand {
  readonly sessionId: string;
  readonly #access: Access;
  readonly #beat: NodeJS.Timeout;
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
    if (task?.task_id === taskId) return task;
    throw new Error(`task ${taskId} cannot be claimed`, { cause: this.#failed });
  }

  async complete(leaseToken: string, result: AttemptResult): Promise<CompletionAnswer> {
    const { items } = await this.#access.worker.complete({ body: { items: [{ lease_token: leaseToken, result }] } });
    const [answer] = items;
    if (answer === undefined) throw new Error("no answer");
    return answer;
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
