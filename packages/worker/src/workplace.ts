/**
 * Private folders of attempts, made when they are first used and removed under one work folder. Those of a worker that is
 * gone are removed at start: nothing of a killed process stays on the disk. Workers may share the work folder; those that
 * see each other's process ids, that is, on one machine and in one container.
 */
import { randomBytes } from "node:crypto";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { TraceError } from "@trace/contracts";
import type { Log, Service } from "@trace/kit";
import { isGone, ownStart } from "./owner.ts";
import { SessionFile, sessionFileName, sessionsLeftIn } from "./session-file.ts";

const ownerPattern = /^worker-(\d+)-(\d+)-[0-9a-f]{8}$/;

/** Turns what a full or unusable disk says into an error of the catalogue; anything else comes back as it is. */
export function workFolderError(error: unknown, path: string): unknown {
  const code = (error as NodeJS.ErrnoException | undefined)?.code ?? "";
  if (!["ENOSPC", "EDQUOT", "EROFS", "ENOTDIR", "EEXIST", "EACCES", "EPERM", "EMFILE", "ENFILE", "EIO"].includes(code))
    return error;
  return new TraceError("TR-5012", {
    detail: `the worker cannot write in its work folder: ${code}`,
    where: path,
    why: error instanceof Error ? error.message : String(error),
    fix: "free space on that disk or set TRACE_WORK_DIR to a folder with room; the task is tried again by itself",
    cause: error,
  });
}

export class Workplace implements Service {
  /** This worker's open sessions, kept in its folder. */
  readonly sessions: SessionFile;
  readonly #root: string;
  readonly #log: Log;
  #own: string | undefined;
  #leftSessions: readonly string[] = [];

  constructor(root: string, log: Log) {
    this.#root = root;
    this.#log = log;
    this.sessions = new SessionFile(log);
  }

  /** What workers that are gone have not closed, as found at the start. */
  get leftSessions(): readonly string[] {
    return this.#leftSessions;
  }

  async start(): Promise<void> {
    try {
      await mkdir(this.#root, { recursive: true, mode: 0o700 });
      await this.#removeLeftovers();
      this.#own = join(this.#root, `worker-${process.pid}-${await ownStart()}-${randomBytes(4).toString("hex")}`);
      await mkdir(this.#own, { mode: 0o700 });
      await this.sessions.open(this.#own);
    } catch (error) {
      throw workFolderError(error, this.#root);
    }
  }

  /** Where a session could not be closed, what names it stays for the next worker. */
  async stop(): Promise<void> {
    await this.sessions.open(undefined);
    const own = this.#own;
    this.#own = undefined;
    if (own === undefined) return;
    if (this.sessions.size === 0) return rm(own, { recursive: true, force: true });
    for (const name of await readdir(own)) {
      if (name !== sessionFileName) await rm(join(own, name), { recursive: true, force: true });
    }
  }

  /** For one attempt; nothing is on the disk yet. */
  folderOf(leaseNo: number): AttemptFolder {
    if (this.#own === undefined) throw new Error("the workplace is not started");
    return new AttemptFolder(join(this.#own, `lease-${leaseNo}`), this.#log);
  }

  /** Only folders with our form of name, and only when the process that made them is gone. */
  async #removeLeftovers(): Promise<void> {
    for (const entry of await readdir(this.#root, { withFileTypes: true })) {
      const owner = ownerPattern.exec(entry.name);
      if (owner === null || !entry.isDirectory()) continue;
      if (!(await isGone(Number(owner[1]), owner[2] ?? ""))) continue;
      const folder = join(this.#root, entry.name);
      this.#leftSessions = [...this.#leftSessions, ...(await sessionsLeftIn(folder))];
      await rm(folder, { recursive: true, force: true });
      this.#log.info({ folder: entry.name }, "removed what a worker before left behind");
    }
  }
}

/** The folder of one attempt, private to it (0700). Most tasks are small and never ask for theirs. */
export class AttemptFolder {
  readonly #folder: string;
  readonly #log: Log;
  #made: Promise<string> | undefined;
  #removed = false;

  constructor(folder: string, log: Log) {
    this.#folder = folder;
    this.#log = log;
  }

  /** Makes it the first time. Throws TR-5012 when the disk does not take it. */
  path(): Promise<string> {
    if (this.#removed) return Promise.reject(new Error("an operator asked for its folder after it had ended"));
    this.#made ??= this.#make();
    return this.#made;
  }

  /** Never throws: a folder that stays is removed with this worker's at its stop, or by the next one at its start. */
  async remove(): Promise<void> {
    this.#removed = true;
    if (this.#made === undefined) return;
    try {
      await this.#made.catch(() => undefined); // The operator that asked for it has the error.
      await rm(this.#folder, { recursive: true, force: true });
    } catch (error) {
      this.#log.warn({ error, folder: this.#folder }, "cannot remove the folder of an attempt");
    }
  }

  async #make(): Promise<string> {
    try {
      await mkdir(this.#folder, { mode: 0o700 });
    } catch (error) {
      throw workFolderError(error, this.#folder);
    }
    return this.#folder;
  }
}
