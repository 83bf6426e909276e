/** How many tasks are not over, as the database has it: answers that were lost make any count of one's own drift. */
import { type Database, Loop, type Service, silentLog } from "@trace/kit";
import { gaugeEveryMs } from "./limits.ts";

/** Those of puppets are left out: they end when puppets let them. */
const text = `select (select count(*)::int from ready where queue_id = q.queue_id) + (select count(*)::int from waiting)
    + (select count(*)::int from leases where queue_id = q.queue_id) as open,
    (select count(*)::int from live_outputs) as dataset
  from queues q where q.name = 'default'`;

export class Gauge implements Service {
  readonly #db: Database;
  readonly #loop: Loop;
  plain = 0;
  dataset = 0;
  /** Plain tasks created since the last look. */
  #since = 0;

  constructor(db: Database) {
    this.#db = db;
    this.#loop = new Loop({ name: "gauge", everyMs: gaugeEveryMs, log: silentLog(), pass: () => this.#look() });
  }

  start(): Promise<void> {
    return this.#loop.start();
  }

  stop(): Promise<void> {
    return this.#loop.stop();
  }

  /** Plain tasks that are not over, those that were created since the last look among them. */
  get openPlain(): number {
    return this.plain + this.#since;
  }

  createdPlain(count: number): void {
    this.#since += count;
  }

  /** While Postgres is away the loop says so, to nobody, and looks again. */
  async #look(): Promise<"idle"> {
    const since = this.#since;
    const [row] = await this.#db.raw<{ open: number; dataset: number }>(text);
    if (row === undefined) return "idle";
    this.dataset = row.dataset;
    this.plain = Math.max(0, row.open - row.dataset);
    this.#since -= since;
    return "idle";
  }
}
