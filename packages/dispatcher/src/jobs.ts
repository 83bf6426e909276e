/** Jobs as versions of DAGs define them. Versions never change, so what was read once is kept, up to a bound. */
import { type JobDefinition, jobDefinitionSchema } from "@trace/contracts";
import type { Queryable } from "@trace/kit";
import { jobsKeptMax } from "./limits.ts";
import { jobsOfVersions } from "./sql/statements.gen.ts";

export interface KnownJob {
  readonly dag: string;
  readonly job: JobDefinition;
  readonly timeout_ms: number;
}

export interface JobKey {
  readonly dag_version_id: number;
  readonly job_id: number;
}

function keyOf({ dag_version_id, job_id }: JobKey): string {
  return `${dag_version_id}:${job_id}`;
}

export class Jobs {
  readonly #db: Queryable;
  /** Oldest first, by when it was read. */
  readonly #kept = new Map<string, KnownJob>();

  constructor(db: Queryable) {
    this.#db = db;
  }

  /** The jobs of these versions, by `keyOf` through the answer. Throws when one is not there, which is a defect. */
  async get(keys: readonly JobKey[]): Promise<(key: JobKey) => KnownJob> {
    const found = new Map<string, KnownJob>();
    const missing = new Map<string, JobKey>();
    for (const key of keys) {
      const text = keyOf(key);
      const job = this.#kept.get(text);
      if (job === undefined) missing.set(text, key);
      else found.set(text, job);
    }
    if (missing.size > 0) {
      const wanted = [...missing.values()];
      const rows = await this.#db.query(jobsOfVersions, {
        dag_version_ids: wanted.map((key) => key.dag_version_id),
        job_ids: wanted.map((key) => key.job_id),
      });
      for (const row of rows) {
        const job = { dag: row.dag, job: jobDefinitionSchema.parse(row.definition), timeout_ms: row.timeout_ms };
        found.set(keyOf(row), job);
        this.#keep(keyOf(row), job);
      }
    }
    return (key) => {
      const job = found.get(keyOf(key));
      if (job === undefined) throw new Error(`job ${key.job_id} of version ${key.dag_version_id} is gone`);
      return job;
    };
  }

  #keep(key: string, job: KnownJob): void {
    this.#kept.set(key, job);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= jobsKeptMax) break;
      this.#kept.delete(oldest);
    }
  }
}
