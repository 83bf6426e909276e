/** How the installation is: versions, queues, workers, outbox. For `trace doctor` and people. */
import type { Database } from "@trace/kit";
import { listWorkers, outboxStatus, queueStatus } from "./sql/statements.gen.ts";

export class SystemStatus {
  readonly #db: Database;
  readonly #about: { version: string; schemaVersion: number; installation: string };

  constructor(db: Database, about: { version: string; schemaVersion: number; installation: string }) {
    this.#db = db;
    this.#about = about;
  }

  async get(orgId: number) {
    const [queues, workers, [outbox]] = await Promise.all([
      this.#db.query(queueStatus, { org_id: orgId }),
      this.#db.query(listWorkers, { org_id: orgId }),
      this.#db.query(outboxStatus, {}),
    ]);
    return {
      version: this.#about.version,
      schema_version: this.#about.schemaVersion,
      installation: this.#about.installation,
      queues: queues.map((queue) => ({
        queue: queue.name,
        ready: queue.ready,
        leased: queue.leased,
        oldest_ready_ms: queue.oldest_ready_ms,
      })),
      workers: workers.map((worker) => ({ ...worker, started_at: worker.started_at.toISOString() })),
      outbox: { pending: outbox?.pending ?? 0, oldest_ms: outbox?.oldest_ms ?? null, failed: outbox?.failed ?? 0 },
    };
  }
}
