/**
 * What the run knows of its tasks while it goes on, from the answers that pass the recorder: enough to keep workers busy and
 * to have something to cancel, to replay and to send late. Nothing is judged by it; the checker reads the history itself.
 */
import { numberOfToken } from "../check/world.ts";
import type { Recorded } from "../record/recorder.ts";
import { datasetDag } from "./plan.ts";

interface Known {
  readonly id: string;
  /** Name of its job when it writes a dataset; undefined for the others. */
  readonly dataset: string | undefined;
  over: boolean;
}

interface ClaimBody {
  readonly tasks: readonly { task_id: string; lease_no: number }[];
}
interface Items<T> {
  readonly items: readonly T[];
}

/** Ids kept of each kind for people and puppets to pick from. */
const keptMax = 4_000;

export class Ledger {
  /** Called with the job's name when a task that writes a dataset is over. */
  onDatasetOver: (job: string) => void = () => undefined;
  leases = 0;
  created = { plain: 0, dataset: 0 };
  over = { plain: 0, dataset: 0 };
  readonly #tasks = new Map<string, Known>();
  readonly #taskOfLease = new Map<number, Known>();
  /** Newest last; some of them are over. */
  readonly recent: string[] = [];
  /** Dead or canceled, as far as answers told. */
  readonly replayable: string[] = [];

  read({ via, route, body, answer }: Recorded): void {
    if (answer.status !== 200) return;
    if (via === "worker" && route === "POST /v1/claims") this.#claimed(JSON.parse(answer.body) as ClaimBody);
    else if (via === "worker" && route === "POST /v1/completions") this.#completed(body, answer.body);
    else if (via === "user" && route === "POST /v1/tasks") this.#created(body, answer.body);
    else if (via === "user" && route === "POST /v1/tasks/cancel") this.#acted(body, answer.body, "cancel");
    else if (via === "user" && route === "POST /v1/tasks/replay") this.#acted(body, answer.body, "replay");
  }

  /** Ids of plain tasks that were created last, newest first. */
  newest(count: number): string[] {
    return this.recent.slice(-count).reverse();
  }

  #created(body: string, answer: string): void {
    const { items } = JSON.parse(body) as Items<{ dag: string; job: string }>;
    for (const [index, made] of (JSON.parse(answer) as Items<{ task_id?: string; created: boolean }>).items.entries()) {
      const item = items[index];
      if (item === undefined || made.task_id === undefined || this.#tasks.has(made.task_id)) continue;
      const dataset = item.dag === datasetDag ? item.job : undefined;
      this.#tasks.set(made.task_id, { id: made.task_id, dataset, over: false });
      this.created[dataset === undefined ? "plain" : "dataset"] += 1;
      if (dataset === undefined) keep(this.recent, made.task_id);
    }
  }

  #claimed({ tasks }: ClaimBody): void {
    this.leases += tasks.length;
    for (const { task_id, lease_no } of tasks) {
      const task = this.#tasks.get(task_id);
      if (task !== undefined) this.#taskOfLease.set(lease_no, task);
    }
  }

  #completed(body: string, answer: string): void {
    const { items } = JSON.parse(body) as Items<{ lease_token: string }>;
    for (const [index, told] of (
      JSON.parse(answer) as Items<{ accepted: boolean; task_state?: string }>
    ).items.entries()) {
      const leaseNo = numberOfToken(items[index]?.lease_token ?? "");
      const task = this.#taskOfLease.get(leaseNo);
      if (task === undefined || !told.accepted) continue;
      this.#taskOfLease.delete(leaseNo);
      if (told.task_state === "queued") continue;
      this.#isOver(task);
      if (told.task_state === "dead") keep(this.replayable, task.id);
    }
  }

  #acted(body: string, answer: string, action: "cancel" | "replay"): void {
    const { task_ids: ids } = JSON.parse(body) as { task_ids: readonly string[] };
    for (const [index, told] of (JSON.parse(answer) as Items<{ accepted: boolean }>).items.entries()) {
      const task = this.#tasks.get(ids[index] ?? "");
      if (task === undefined || !told.accepted) continue;
      if (action === "cancel") {
        this.#isOver(task);
        keep(this.replayable, task.id);
      } else if (task.over) {
        task.over = false;
        this.over[task.dataset === undefined ? "plain" : "dataset"] -= 1;
      }
    }
  }

  #isOver(task: Known): void {
    if (task.over) return;
    task.over = true;
    this.over[task.dataset === undefined ? "plain" : "dataset"] += 1;
    if (task.dataset !== undefined) this.onDatasetOver(task.dataset);
    // Only what may be replayed is asked for again; the others would fill the memory.
    if (this.replayable.length < keptMax) return;
    this.#tasks.delete(task.id);
  }
}

function keep(list: string[], id: string): void {
  list.push(id);
  if (list.length > 2 * keptMax) list.splice(0, list.length - keptMax);
}
