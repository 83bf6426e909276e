/** Operators on real files with the real DuckDB child, up to the manifest that the dispatcher would read. */
import { mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ClaimedTask, type Manifest, manifestSchema } from "@trace/contracts";
import { DuckRunner } from "@trace/duck";
import { silentLog } from "@trace/kit";
import { type ContextOptions, type TestContext, testContext } from "./context.ts";
import type { MemoryStore } from "./memory-store.ts";

export class DataWorld {
  readonly folder: string;
  readonly #duck: DuckRunner;
  readonly #contexts: TestContext[] = [];

  private constructor(folder: string, duck: DuckRunner) {
    this.folder = folder;
    this.#duck = duck;
  }

  static async start(): Promise<DataWorld> {
    const folder = await realpath(await mkdtemp(join(tmpdir(), "trace-worker-test-")));
    const duck = new DuckRunner({ log: silentLog(), workFolder: join(folder, "duck"), limits: { threads: 1 } });
    await duck.start();
    return new DataWorld(folder, duck);
  }

  /** Its folder is the only root of local files. */
  async prepare(job: ClaimedTask["job"], options: ContextOptions = {}): Promise<TestContext> {
    const services = { duck: this.#duck, fileRoots: [this.folder], ...options.services };
    const context = await testContext(job, { ...options, services });
    this.#contexts.push(context);
    return context;
  }

  write(name: string, content: string | Uint8Array): Promise<void> {
    return writeFile(join(this.folder, name), content);
  }

  /** Removes what the contexts left. */
  async clean(): Promise<void> {
    for (const { remove } of this.#contexts.splice(0)) await remove();
  }

  async stop(): Promise<void> {
    await this.#duck.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}

export function manifestOf(store: MemoryStore, prefix = "g1/l7/"): Manifest {
  return manifestSchema.parse(JSON.parse(store.text(`trace-datasets/${prefix}manifest.json`)));
}

/** Types and ids of the columns, by name. */
export function columnsOf({ schema }: Manifest): Record<string, [string, number | undefined]> {
  return Object.fromEntries(schema.map(({ field_id, name, type }) => [name, [type, field_id]]));
}
