/**
 * One cluster on disk: `<base>/<name>/` with `data/` (Postgres' own) and `trace.json` (what we know about it).
 *
 * It is made in `<name>.new/`, roles and database included, and renamed when it is whole: a crash leaves no half
 * cluster. Before each start it is checked: ours, of this state folder, of the right major version, whole.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statfsSync,
} from "node:fs";
import { join } from "node:path";
import { TraceError } from "@trace/contracts";
import { syncFolder, writeAtomic } from "../state/files.ts";
import { postgresLimits } from "./limits.ts";
import type { RunAs } from "./place.ts";
import { killAllIn } from "./processes.ts";
import { type RunResult, run } from "./run.ts";
import { scramMatches, scramVerifier } from "./scram.ts";
import {
  bootstrapUser,
  clusterStatements,
  type PostgresRole,
  type RoleToMake,
  roleChangeStatements,
  singleUserInput,
} from "./setup.ts";

export interface ClusterOptions {
  readonly name: string;
  readonly base: string;
  /** The programs' folder, with `bin/initdb` and `bin/postgres`. */
  readonly programs: string;
  readonly major: number;
  readonly runAs: RunAs | undefined;
  /** The state folder's id. */
  readonly id: string;
  readonly database: string;
  readonly roles: readonly PostgresRole[];
}

interface Note {
  readonly id: string;
  readonly name: string;
  readonly major: number;
  readonly systemIdentifier: string;
  readonly database: string;
  readonly roles: readonly RoleToMake[];
}

export class Cluster {
  readonly folder: string;
  readonly dataDir: string;
  readonly #options: ClusterOptions;

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.folder = join(options.base, options.name);
    this.dataDir = join(this.folder, "data");
  }

  get exists(): boolean {
    return existsSync(this.folder);
  }

  /** Refuses to go on when the disk is nearly full. Throws TR-6016. */
  checkSpace(): void {
    const full = this.#diskFull();
    if (full !== undefined) throw full;
  }

  #diskFull(): TraceError | undefined {
    const { bavail, bsize } = statfsSync(this.#options.base);
    const free = bavail * bsize;
    if (free >= postgresLimits.freeBytesMin) return undefined;
    const mebibytes = (bytes: number) => `${Math.floor(bytes / 1024 / 1024)} MiB`;
    return new TraceError("TR-6016", {
      detail: `${mebibytes(free)} are free; Postgres needs ${mebibytes(postgresLimits.freeBytesMin)}.`,
      where: this.#options.base,
      fix: `Free space on that file system (\`df -h '${this.#options.base}'\`), then start again.`,
    });
  }

  /** Makes the cluster: 1 s. Throws TR-6011, TR-6016. */
  async create(): Promise<void> {
    const { id, name, major, database, roles, base } = this.#options;
    const fresh = join(base, `${name}.new`);
    await killAllIn(fresh); // an initdb that outlived its parent
    rmSync(fresh, { recursive: true, force: true });
    this.checkSpace();
    const data = join(fresh, "data");
    mkdirSync(data, { recursive: true });
    this.#give(fresh, data);
    try {
      await this.#initdb(data);
      const toMake = roles.map(toRole);
      await this.#single(data, clusterStatements(database, toMake, id), "making roles and database");
      const note: Note = { id, name, major, systemIdentifier: readSystemIdentifier(data), database, roles: toMake };
      writeAtomic(join(fresh, "trace.json"), `${JSON.stringify(note, null, 2)}\n`, 0o600);
    } catch (error) {
      const full = this.#diskFull(); // asked before removing makes room again
      rmSync(fresh, { recursive: true, force: true });
      throw full ?? error;
    }
    renameSync(fresh, this.folder);
    syncFolder(base);
  }

  /**
   * Checks an existing cluster without starting it. Throws TR-6003 (another state folder's), TR-6014 (another major
   * version), TR-6015 (not ours, or damaged).
   */
  check(): void {
    const { id, major } = this.#options;
    const version = this.#readVersion();
    if (version !== major) throw this.#otherMajor(version);
    const note = this.#readNote();
    if (note.id !== id) {
      throw new TraceError("TR-6003", {
        detail: `The databases carry the id ${note.id}, the state folder ${id}.`,
        where: this.folder,
        why: "One of them was replaced or copied from elsewhere.",
        fix: "Put back the `id` file that belongs to these databases, or move the databases away to begin empty.",
      });
    }
    const actual = readSystemIdentifier(this.dataDir);
    if (note.systemIdentifier !== actual) {
      throw this.#damaged(`Its cluster is ${actual}, and trace.json was written for ${note.systemIdentifier}.`);
    }
  }

  /** Brings roles and passwords in line with the state folder's secrets. The server must not be running. */
  async updateRoles(): Promise<void> {
    const note = this.#readNote();
    const wanted = this.#options.roles;
    const settled = wanted.every((role) => {
      const kept = note.roles.find(({ name }) => name === role.name);
      const same = kept !== undefined && kept.createDatabases === (role.createDatabases ?? false);
      return same && scramMatches(kept.verifier, role.password);
    });
    if (settled) return;
    const roles = wanted.map(toRole);
    await this.#single(this.dataDir, roleChangeStatements(note.database, roles), "changing roles");
    writeAtomic(join(this.folder, "trace.json"), `${JSON.stringify({ ...note, roles }, null, 2)}\n`, 0o600);
  }

  /** Our folder may be passed through by the server's user, whose data folder is its own alone. */
  #give(folder: string, data: string): void {
    const { runAs } = this.#options;
    chmodSync(folder, runAs === undefined ? 0o700 : 0o755);
    chmodSync(data, 0o700);
    if (runAs !== undefined) chownSync(data, runAs.uid, runAs.gid);
  }

  async #initdb(data: string): Promise<void> {
    const args = ["-D", data, "-U", bootstrapUser, "--auth=reject", "--encoding=UTF8", "--data-checksums"];
    args.push("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions");
    // Not read after this: our own files replace them. Here they keep initdb itself small.
    args.push("-c", "io_method=sync", "-c", "shared_buffers=16MB", "-c", "huge_pages=off");
    await this.#run("initdb", args, data, undefined, "initdb");
  }

  #single(data: string, statements: readonly string[], doing: string): Promise<void> {
    const args = ["--single", "-j", "-D", data, "-c", "exit_on_error=on", "-c", "log_min_error_statement=panic"];
    args.push("-c", "wal_level=minimal", "-c", "max_wal_senders=0", "-c", "log_checkpoints=off", "template1");
    return this.#run("postgres", args, data, singleUserInput(statements), doing);
  }

  async #run(program: string, args: string[], cwd: string, input: string | undefined, doing: string): Promise<void> {
    const { programs, runAs } = this.#options;
    let result: RunResult;
    try {
      const path = join(programs, "bin", program);
      result = await run({ program: path, args, cwd, runAs, input, maxMs: postgresLimits.initMaxMs });
    } catch (cause) {
      throw this.#initFailed(doing, String(cause), cause);
    }
    if (result.end !== 0) throw this.#initFailed(doing, `${program} ended with ${result.end}: ${result.output}`);
  }

  #initFailed(doing: string, why: string, cause?: unknown): TraceError {
    return new TraceError("TR-6011", {
      detail: `The ${this.#options.name} database could not be prepared (${doing}).`,
      where: this.folder,
      why,
      fix: "See the reason above; the programs need glibc (not Alpine's musl) and a file system that allows running them.",
      cause,
    });
  }

  #readVersion(): number {
    try {
      return Number.parseInt(readFileSync(join(this.dataDir, "PG_VERSION"), "utf8"), 10);
    } catch (cause) {
      throw this.#damaged("It has no data/PG_VERSION.", cause);
    }
  }

  #readNote(): Note {
    try {
      const note = JSON.parse(readFileSync(join(this.folder, "trace.json"), "utf8")) as Note;
      if (typeof note.id === "string" && typeof note.systemIdentifier === "string" && Array.isArray(note.roles)) {
        return note;
      }
    } catch (cause) {
      throw this.#damaged("Its trace.json cannot be read.", cause);
    }
    throw this.#damaged("Its trace.json is not what Trace writes.");
  }

  #otherMajor(found: number): TraceError {
    const { major, name } = this.#options;
    return new TraceError("TR-6014", {
      detail: `The ${name} data is of PostgreSQL ${found}, the programs are PostgreSQL ${major}.`,
      where: this.dataDir,
      why: "A data folder is read by its own major version only.",
      fix: `With the Trace version that wrote it, dump the database (pg_dump -Fc); move ${this.folder} away; start this version once; restore the dump (pg_restore).`,
    });
  }

  #damaged(why: string, cause?: unknown): TraceError {
    const holds = this.exists ? readdirSync(this.folder).slice(0, 5).join(", ") : "nothing";
    return new TraceError("TR-6015", {
      detail: `The folder of the ${this.#options.name} database is not a whole cluster of Trace.`,
      where: this.folder,
      why: `${why} It holds: ${holds || "nothing"}.`,
      fix: `Restore it from a backup; or, to begin empty, move it away: \`mv '${this.folder}' '${this.folder}.old'\`.`,
      cause,
    });
  }
}

function toRole(role: PostgresRole): RoleToMake {
  return {
    name: role.name,
    verifier: scramVerifier(role.password),
    createDatabases: role.createDatabases ?? false,
  };
}

/** The cluster's own identity: the first 8 bytes of global/pg_control (src/include/catalog/pg_control.h). */
function readSystemIdentifier(dataDir: string): string {
  const bytes = Buffer.alloc(8);
  let descriptor: number;
  try {
    descriptor = openSync(join(dataDir, "global", "pg_control"), "r");
  } catch (cause) {
    throw new TraceError("TR-6015", {
      detail: "The cluster has no readable control file.",
      where: join(dataDir, "global", "pg_control"),
      fix: "Restore the data folder from a backup.",
      cause,
    });
  }
  try {
    readSync(descriptor, bytes, 0, 8, 0);
  } finally {
    closeSync(descriptor);
  }
  return bytes.readBigUInt64LE().toString();
}
