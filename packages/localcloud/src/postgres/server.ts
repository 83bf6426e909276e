/**
 * One embedded Postgres server: made when it is missing, started, watched, stopped.
 *
 * It listens on loopback only, in its own process group, so that Ctrl-C reaches it through us and in order. When we are
 * killed, a shell that waits for our end stops it; when that is killed too, the next start does.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { TraceError } from "@trace/contracts";
import { type Log, type Service, systemClock } from "@trace/kit";
import { writeAtomic } from "../state/files.ts";
import { LogFile } from "../state/log-file.ts";
import { tryPort } from "../state/ports.ts";
import { Cluster } from "./cluster.ts";
import { postgresLimits } from "./limits.ts";
import { parseServerLine, Tail } from "./output.ts";
import { findPlace, type Place } from "./place.ts";
import { acceptsSessions } from "./probe.ts";
import { killAllIn, readPidFile, stopOrphans } from "./processes.ts";
import { preparePrograms } from "./programs.ts";
import { postgresEnv } from "./run.ts";
import { pgHbaConf, postgresqlConf, type SettingValue } from "./settings.ts";
import type { PostgresRole } from "./setup.ts";

export interface EmbeddedPostgresOptions {
  readonly name: "state" | "data";
  /** The state folder; its logs are in `<stateDir>/logs`. */
  readonly stateDir: string;
  /** The state folder's id, kept in the database too. */
  readonly id: string;
  readonly port: number;
  /** Default: `trace_state`, `trace_data`. */
  readonly database?: string | undefined;
  /** Login roles; the first owns the database. None is a superuser. */
  readonly roles: readonly [PostgresRole, ...PostgresRole[]];
  /** Postgres settings over ours. */
  readonly settings?: Readonly<Record<string, SettingValue>> | undefined;
  readonly log: Log;
  /** Where root's servers live; default `/var/lib/trace`. */
  readonly rootFolder?: string | undefined;
}

/** What a client needs to log in. */
export interface PostgresAddress {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string;
}

export interface PostgresExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Its last lines. */
  readonly tail: string;
}

/**
 * Waits for a line or the end of its input. The end means that we are gone: then the server is told to stop, if the pid
 * file still names it.
 */
const watchScript = `trap "" INT TERM HUP
read -r line && exit 0
[ "$(head -n 1 "$2/postmaster.pid" 2>/dev/null)" = "$1" ] && kill -INT "$1"`;

export class EmbeddedPostgres implements Service {
  readonly name: string;
  readonly database: string;
  readonly #options: EmbeddedPostgresOptions;
  readonly #listeners = new Set<(exit: PostgresExit) => void>();
  #child: ChildProcess | undefined;
  #watcher: ChildProcess | undefined;
  #exited: Promise<PostgresExit> | undefined;
  #logFile: LogFile | undefined;
  #tail = new Tail(postgresLimits.tailLines);
  #outputEnded: Promise<void> = Promise.resolve();
  /** True from ready to stop: only then an end is unexpected; before, `start` itself says it. */
  #serving = false;
  #place: Place | undefined;

  constructor(options: EmbeddedPostgresOptions) {
    this.#options = options;
    this.name = `postgres-${options.name}`;
    this.database = options.database ?? `trace_${options.name}`;
  }

  /** The postmaster's process id while it runs. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** The folder of programs and data, once started: `trace doctor` names it. */
  get folder(): string | undefined {
    return this.#place?.base;
  }

  /** How a role logs in; default: the database's owner. Throws RangeError on a role that was not given. */
  address(role: string = this.#options.roles[0].name): PostgresAddress {
    const found = this.#options.roles.find(({ name }) => name === role);
    if (found === undefined) throw new RangeError(`no such role: ${role}`);
    const { port } = this.#options;
    return { host: "127.0.0.1", port, database: this.database, user: found.name, password: found.password };
  }

  /** The same as a URL for a child's environment. It holds the password: never log it, never put it in argv. */
  url(role?: string): string {
    const { host, port, database, user, password } = this.address(role);
    return `postgres://${user}:${encodeURIComponent(password)}@${host}:${port}/${database}`;
  }

  /** Called when the server ends without having been asked to. */
  onExit(listener: (exit: PostgresExit) => void): void {
    this.#listeners.add(listener);
  }

  /**
   * Makes the cluster if there is none (1 s), and returns when sessions are accepted.
   * Throws TR-6003, TR-6010..TR-6018.
   */
  async start(): Promise<void> {
    if (this.#child !== undefined) return;
    const { stateDir, id, name, roles, log, rootFolder } = this.#options;
    const place = findPlace({ stateDir, id, rootFolder });
    this.#place = place;
    const programs = this.#preparePrograms(place);
    const cluster = new Cluster({
      name,
      base: place.base,
      programs: programs.folder,
      major: programs.major,
      runAs: place.runAs,
      id,
      database: this.database,
      roles,
    });
    if (cluster.exists) {
      cluster.check();
      await stopOrphans(cluster.dataDir, log);
      cluster.checkSpace();
      await cluster.updateRoles();
    } else {
      await cluster.create();
    }
    await this.#checkPort();
    this.#writeSettings(cluster.folder);
    this.#spawn(cluster, programs.folder, place);
    try {
      await this.#ready(cluster);
      this.#serving = true;
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Fast shutdown (sessions cut, everything flushed), then immediate, then by force. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined || this.#exited === undefined) return;
    this.#serving = false;
    child.kill("SIGINT");
    if (await endsWithin(this.#exited, postgresLimits.stopFastMaxMs)) return;
    this.#options.log.warn({ server: this.name }, "fast shutdown takes too long: stopping at once");
    child.kill("SIGQUIT");
    if (await endsWithin(this.#exited, postgresLimits.stopImmediateMaxMs)) return;
    child.kill("SIGKILL");
    await this.#exited;
    if (this.#place !== undefined) await killAllIn(join(this.#place.base, this.#options.name, "data"));
  }

  #preparePrograms(place: Place): { folder: string; major: number } {
    try {
      const { runAs, base } = place;
      return preparePrograms({ base, copy: runAs !== undefined, copier: this.#options.name });
    } catch (cause) {
      if (cause instanceof TraceError) throw cause;
      throw new TraceError("TR-6011", {
        detail: "The Postgres programs could not be put in place.",
        where: place.base,
        why: String(cause),
        fix: `Check the free space and the rights on ${place.base}.`,
        cause,
      });
    }
  }

  async #checkPort(): Promise<void> {
    const { port } = this.#options;
    if ((await tryPort(port)) !== undefined) return;
    throw new TraceError("TR-6013", {
      detail: `Port ${port} is taken, so ${this.name} cannot listen on it.`,
      where: `127.0.0.1:${port}`,
      fix: `See who has it (\`ss -ltnp 'sport = :${port}'\` or \`lsof -i :${port}\`); stop that, or start again to get another port.`,
    });
  }

  /** Beside the data, not in it: what belongs to `nobody` is not written by root. */
  #writeSettings(folder: string): void {
    const { port, settings } = this.#options;
    for (const [file, text] of [
      ["postgresql.conf", postgresqlConf(port, settings)],
      ["pg_hba.conf", pgHbaConf()],
    ] as const) {
      writeAtomic(join(folder, file), text, 0o644);
      chmodSync(join(folder, file), 0o644); // the umask may have closed it for the server's user
    }
  }

  #spawn(cluster: Cluster, programs: string, place: Place): void {
    const { folder, dataDir } = cluster;
    const args = ["-D", dataDir, "-c", `config_file=${join(folder, "postgresql.conf")}`];
    args.push("-c", `hba_file=${join(folder, "pg_hba.conf")}`);
    const as = { cwd: dataDir, env: { ...postgresEnv }, detached: true, ...place.runAs };
    const child = spawn(join(programs, "bin", "postgres"), args, { ...as, stdio: ["ignore", "ignore", "pipe"] });
    this.#child = child;
    this.#tail = new Tail(postgresLimits.tailLines);
    this.#readOutput(child);
    if (child.pid !== undefined) {
      const watchArgs = ["-c", watchScript, "trace-postgres-watch", String(child.pid), dataDir];
      this.#watcher = spawn("/bin/sh", watchArgs, { ...as, stdio: ["pipe", "ignore", "ignore"] });
      this.#watcher.on("error", (error) => this.#options.log.warn({ error }, "Postgres runs without a watcher"));
      this.#watcher.stdin?.on("error", () => undefined); // it has gone: nothing to tell it
      this.#watcher.unref();
    }
    this.#exited = new Promise((resolve) => {
      child.once("error", (error) => {
        this.#tail.add(String(error));
        resolve(this.#ended(null, null));
      });
      child.once("exit", (code, signal) => resolve(this.#ended(code, signal)));
    });
  }

  #readOutput(child: ChildProcess): void {
    const logs = join(this.#options.stateDir, "logs");
    mkdirSync(logs, { recursive: true, mode: 0o700 });
    this.#logFile ??= new LogFile({
      path: join(logs, `${this.name}.log`),
      onFailure: (error) => this.#options.log.warn({ error }, "the server's log cannot be written"),
    });
    if (child.stderr === null) return;
    const tail = this.#tail;
    const lines = createInterface({ input: child.stderr });
    this.#outputEnded = new Promise((resolve) => void lines.once("close", resolve));
    lines.on("line", (line) => {
      const parsed = parseServerLine(line, this.name, new Date(systemClock.nowMs()).toISOString());
      tail.add(parsed.message);
      this.#logFile?.write(JSON.stringify(parsed));
      if (parsed.level === "fatal") this.#options.log.error({ server: this.name }, parsed.message);
    });
  }

  #ended(code: number | null, signal: NodeJS.Signals | null): PostgresExit {
    this.#watcher?.stdin?.end("done\n");
    this.#watcher = undefined;
    this.#child = undefined;
    const exit = { code, signal, tail: this.#tail.text() };
    if (this.#serving) for (const listener of [...this.#listeners]) listener(exit);
    this.#serving = false;
    return exit;
  }

  /** Ready is what `pg_ctl --wait` takes for it (line 8 of the pid file), and then a real answer on the port. */
  async #ready(cluster: Cluster): Promise<void> {
    const until = systemClock.nowMs() + postgresLimits.startMaxMs;
    const child = this.#child;
    const { port, roles } = this.#options;
    while (this.#child !== undefined && this.#child === child) {
      const lines = readPidFile(cluster.dataDir);
      const says = lines?.[0]?.trim() === String(child.pid) && lines[7]?.trim() === "ready";
      if (says && (await acceptsSessions(port, roles[0].name, this.database))) return;
      if (systemClock.nowMs() >= until) {
        throw this.#notStarted(`It was not ready within ${postgresLimits.startMaxMs / 1000} s.`);
      }
      await pause(postgresLimits.pollMs);
    }
    const exit = await this.#exited;
    await endsWithin(this.#outputEnded, postgresLimits.lastWordsMaxMs);
    cluster.checkSpace();
    await this.#checkPort();
    throw this.#notStarted(`It ended with ${exit?.code ?? exit?.signal ?? "an error"}.`);
  }

  #notStarted(what: string): TraceError {
    return new TraceError("TR-6012", {
      detail: `${this.name} does not start. ${what}`,
      where: join(this.#options.stateDir, "logs", `${this.name}.log`),
      why: this.#tail.text() || "It wrote nothing.",
      fix: "Read its log; if the data is damaged, restore it from a backup.",
    });
  }
}

/** True when the promise settles in time. */
async function endsWithin(promise: Promise<unknown>, maxMs: number): Promise<boolean> {
  const late = new AbortController();
  try {
    return await Promise.race([
      promise.then(() => true),
      pause(maxMs, false, { signal: late.signal, ref: true }).catch(() => false), // aborted below: the race is over
    ]);
  } finally {
    late.abort();
  }
}
