/**
 * The sessions of this process that may hold leases, kept on the disk beside the folders of its attempts. A process that is
 * killed cannot close them; the next one on this machine does, so that its tasks need not wait for the end of their leases.
 */
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { uuidSchema } from "@trace/contracts";
import type { Log } from "@trace/kit";
import { ownPlace } from "./owner.ts";

export const sessionFileName = "sessions.json";

interface Kept {
  /** Of process ids: elsewhere nobody can tell whether the owner is gone. */
  readonly place: string;
  readonly sessions: readonly string[];
}

export class SessionFile {
  readonly #log: Log;
  readonly #sessions = new Set<string>();
  #folder: string | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(log: Log) {
    this.#log = log;
  }

  /** Sessions that nobody has closed yet, as far as this process knows. */
  get size(): number {
    return this.#sessions.size;
  }

  /** Begins to keep them in `folder`; with nothing, keeps them no more. */
  async open(folder: string | undefined): Promise<void> {
    await this.#writing;
    this.#folder = folder;
  }

  /** Resolves when it is kept. Never throws: without it a killed worker's tasks wait for the end of their leases. */
  add(...sessionIds: readonly string[]): Promise<void> {
    for (const id of sessionIds) this.#sessions.add(id);
    return this.#write();
  }

  remove(sessionId: string): Promise<void> {
    return this.#sessions.delete(sessionId) ? this.#write() : Promise.resolve();
  }

  #write(): Promise<void> {
    this.#writing = this.#writing.then(async () => {
      if (this.#folder === undefined) return;
      const path = join(this.#folder, sessionFileName);
      try {
        const kept: Kept = { place: await ownPlace(), sessions: [...this.#sessions] };
        // Whoever reads it finds one state or the other, whenever this process is killed.
        await writeFile(`${path}.new`, JSON.stringify(kept), { mode: 0o600 });
        await rename(`${path}.new`, path);
      } catch (error) {
        this.#log.warn(
          { error, path },
          "cannot keep the session on the disk; if this worker is killed its tasks wait longer",
        );
      }
    });
    return this.#writing;
  }
}

/** The sessions kept in a folder whose owner is gone, if it was a process of this place. Never throws. */
export async function sessionsLeftIn(folder: string): Promise<readonly string[]> {
  try {
    const kept = JSON.parse(await readFile(join(folder, sessionFileName), "utf8")) as Partial<Kept>;
    if (kept.place !== (await ownPlace())) return [];
    return uuidSchema.array().safeParse(kept.sessions).data ?? [];
  } catch {
    return []; // None was kept, or not by us. What is not closed ends by itself.
  }
}
