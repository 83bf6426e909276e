/**
 * Which Postgres processes work in a folder. After our own SIGKILL a server may live on without us: it holds the data
 * folder and the port, and must be stopped before the next one starts. A process id alone proves nothing (it may have
 * been given to another program since, and certainly was after a reboot), so a process counts only when it runs a
 * Postgres program with that folder as its working directory.
 */
import { execFileSync } from "node:child_process";
import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
} from "node:fs";
import { basename, join, sep } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { TraceError } from "@trace/contracts";
import { type Log, systemClock } from "@trace/kit";
import { postgresLimits } from "./limits.ts";

const programs = new Set(["postgres", "initdb"]);

function isInside(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder + sep);
}

function linuxProcesses(folder: string): number[] {
  const found: number[] = [];
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const program = basename(readlinkSync(`/proc/${entry}/exe`)).replace(/ \(deleted\)$/, "");
      if (programs.has(program) && isInside(readlinkSync(`/proc/${entry}/cwd`), folder)) found.push(Number(entry));
    } catch {
      // Ended meanwhile, or another user's: a Postgres of ours runs as a user whose processes we may look at.
    }
  }
  return found;
}

/** Where there is no /proc, the command line of a postmaster names its data folder. */
function listedProcesses(folder: string): number[] {
  const lines = execFileSync("/bin/ps", ["-axww", "-o", "pid=,command="], { encoding: "utf8" }).split("\n");
  return lines
    .filter((line) => /\/(postgres|initdb) /.test(line) && line.includes(` -D ${folder}`))
    .map((line) => Number.parseInt(line, 10));
}

/** Ids of the Postgres processes that work in `folder` or below it. */
export function processesIn(folder: string): number[] {
  if (!existsSync(folder)) return [];
  const real = realpathSync(folder);
  return existsSync("/proc/self/exe") ? linuxProcesses(real) : listedProcesses(real);
}

/** The lines of `postmaster.pid`: 1 the process id, 8 the state. Undefined when there is none. */
export function readPidFile(dataDir: string): readonly string[] | undefined {
  let descriptor: number;
  try {
    // The folder may belong to `nobody`: never follow a link it made, never wait for a pipe.
    descriptor = openSync(
      join(dataDir, "postmaster.pid"),
      constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    );
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  try {
    return readFileSync(descriptor, "utf8").split("\n");
  } finally {
    closeSync(descriptor);
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // gone already: what we want
  }
}

/** Resolves true when no Postgres process is left in the folder, false after `maxMs`. */
export async function waitUntilEmpty(folder: string, maxMs: number): Promise<boolean> {
  const until = systemClock.nowMs() + maxMs;
  while (processesIn(folder).length > 0) {
    if (systemClock.nowMs() >= until) return false;
    await pause(postgresLimits.pollMs);
  }
  return true;
}

function pidFromFile(dataDir: string): number {
  return Number.parseInt(readPidFile(dataDir)?.[0] ?? "", 10);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/**
 * Stops whatever Postgres still works in a data folder: fast, then immediate, then by force. The caller holds the state
 * folder, so nobody else's server is meant. Throws TR-6018 when a process cannot be stopped.
 */
export async function stopOrphans(dataDir: string, log: Log): Promise<void> {
  const left = processesIn(dataDir);
  const postmaster = pidFromFile(dataDir);
  if (left.length > 0) {
    log.warn({ pids: left, dataDir }, "a Postgres server of an earlier run is still there: stopping it");
    if (left.includes(postmaster)) {
      send(postmaster, "SIGINT");
      if (await waitUntilEmpty(dataDir, postgresLimits.stopFastMaxMs)) return;
      send(postmaster, "SIGQUIT");
    }
    // Without their postmaster the others end by themselves.
    if (await waitUntilEmpty(dataDir, postgresLimits.stopImmediateMaxMs)) return;
    await killAllIn(dataDir);
    return;
  }
  // Postgres itself puts a stale file aside, unless the number in it now belongs to some other living process.
  if (Number.isInteger(postmaster) && postmaster > 0 && isAlive(postmaster)) {
    log.warn(
      { pid: postmaster, dataDir },
      "the pid file names a process that is no Postgres of this folder: removing it",
    );
    rmSync(join(dataDir, "postmaster.pid"), { force: true });
  }
}

/** SIGKILL to every Postgres process of a folder; used where nothing is worth a clean end. Throws TR-6018. */
export async function killAllIn(folder: string): Promise<void> {
  for (const pid of processesIn(folder)) send(pid, "SIGKILL");
  if (await waitUntilEmpty(folder, postgresLimits.killMaxMs)) return;
  throw new TraceError("TR-6018", {
    detail: `Postgres processes ${processesIn(folder).join(", ")} do not end.`,
    where: folder,
    why: "They were killed and are still there; a process waiting for a broken disk or network file system does that.",
    fix: "Look at `dmesg` and the disk, then restart the machine.",
  });
}
