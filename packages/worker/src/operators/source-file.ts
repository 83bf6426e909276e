/**
 * Finds the local file of a source. A DAG is written by people who may not read this machine's disk, so a path counts
 * only below the folders that the machine's owner named, where its links really lead, and only if it is a plain file:
 * reading a device or a pipe could block for ever or change something.
 */
import { constants, type Stats } from "node:fs";
import { lstat, open, realpath, stat } from "node:fs/promises";
import { isAbsolute, join, normalize, sep } from "node:path";
import { TraceError } from "@trace/contracts";

export interface SourceFile {
  /** Where it really is, links resolved. */
  readonly path: string;
  readonly bytes: number;
  /** Throws TR-5007 when the file is not, byte for byte and under this path, what was found: read, then check. */
  unchanged(): Promise<void>;
  /** What an error of reading it means. */
  unreadable(error: unknown): Error;
}

const rootsFix =
  "name the folder with 'trace up --root FOLDER', or TRACE_FILE_ROOTS; 'trace doctor' lists those in force";

function isUnder(path: string, root: string): boolean {
  return path.startsWith(root.endsWith(sep) ? root : `${root}${sep}`);
}

/**
 * The file that `path` names: relative to the first root that has it, or absolute below a root.
 *
 * Throws TR-5001 (unreadable), TR-5002 (missing), TR-5003 (leaves its root), TR-5004 (no plain file), TR-5005 (larger
 * than `bytesMax`), TR-5006 (under no root). No message tells what is outside the roots.
 */
export async function findSourceFile(path: string, roots: readonly string[], bytesMax: number): Promise<SourceFile> {
  if (path.includes("\0") || path.split(/[/\\]/).includes("..")) throw leaves(path, "it has '..' or a NUL in it");
  const { root, candidate } = await locate(path, roots);
  const real = await resolve(candidate, path);
  if (!isUnder(real, root)) throw leaves(path, "a symbolic link on its way leads outside");
  const found = await statOf(real, path);
  if (!found.isFile()) {
    throw new TraceError("TR-5004", {
      detail: `the source '${path}' is ${kindOf(found)}, not a file`,
      where: path,
      fix: "name a plain file; write a job for each file of a folder",
    });
  }
  if (found.size > bytesMax) {
    throw new TraceError("TR-5005", {
      detail: `the source '${path}' has ${found.size} bytes; at most ${bytesMax} are read`,
      where: path,
      fix: "split the file, or raise TRACE_SOURCE_BYTES_MAX of the worker",
    });
  }
  await tryOpen(real, found, path);
  return {
    path: real,
    bytes: found.size,
    unchanged: () => requireUnchanged(real, found, path),
    unreadable: (error) => readError(error, path),
  };
}

/** The root and the place under it. Roots that do not exist are passed over: others may. */
async function locate(path: string, roots: readonly string[]): Promise<{ root: string; candidate: string }> {
  let anyRoot = false;
  for (const named of roots) {
    const root = await realpath(named).catch(() => undefined);
    if (root === undefined) continue;
    if (isAbsolute(path)) {
      const inNamed = isUnder(normalize(path), normalize(named));
      if (inNamed || isUnder(normalize(path), root)) return { root, candidate: normalize(path) };
      continue;
    }
    anyRoot = true;
    const candidate = join(root, path);
    const exists = await lstat(candidate).then(
      () => true,
      (error: NodeJS.ErrnoException) => error.code !== "ENOENT" && error.code !== "ENOTDIR",
    );
    if (exists) return { root, candidate };
  }
  if (anyRoot) throw missing(path);
  throw new TraceError("TR-5006", {
    detail: `the source '${path}' is under no folder that this worker may read`,
    where: path,
    why: roots.length === 0 ? "no folder is configured" : "it is outside the configured folders, or they do not exist",
    fix: rootsFix,
  });
}

async function resolve(candidate: string, path: string): Promise<string> {
  try {
    return await realpath(candidate);
  } catch (error) {
    throw readError(error, path);
  }
}

async function statOf(real: string, path: string): Promise<Stats> {
  try {
    return await stat(real);
  } catch (error) {
    throw readError(error, path);
  }
}

/** Opens it once, without blocking and without following a link put there meanwhile, so that "unreadable" is said here. */
async function tryOpen(real: string, found: Stats, path: string): Promise<void> {
  try {
    const handle = await open(real, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
    const opened = await handle.stat().finally(() => handle.close());
    if (!sameFile(opened, found)) throw changed(path);
  } catch (error) {
    throw error instanceof TraceError ? error : readError(error, path);
  }
}

async function requireUnchanged(real: string, found: Stats, path: string): Promise<void> {
  const now = await lstat(real).catch(() => undefined);
  if (now === undefined || !sameFile(now, found)) throw changed(path);
}

function sameFile(a: Stats, b: Stats): boolean {
  return a.dev === b.dev && a.ino === b.ino && a.size === b.size && a.mtimeMs === b.mtimeMs;
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return "a folder";
  if (stats.isFIFO()) return "a pipe";
  if (stats.isSocket()) return "a socket";
  return stats.isCharacterDevice() || stats.isBlockDevice() ? "a device" : "something else";
}

function leaves(path: string, why: string): TraceError {
  return new TraceError("TR-5003", {
    detail: `the source '${path.replaceAll("\0", "\\0")}' leaves the folder it is read from`,
    where: path.replaceAll("\0", "\\0"),
    why,
    fix: `put the file itself under a folder that the worker may read: ${rootsFix}`,
  });
}

function missing(path: string): TraceError {
  return new TraceError("TR-5002", {
    detail: `the source '${path}' does not exist`,
    where: path,
    why: "no folder that this worker may read has a file of this name",
    fix: `check the spelling and upper and lower case; ${rootsFix}`,
  });
}

function changed(path: string): TraceError {
  return new TraceError("TR-5007", {
    detail: `the source '${path}' changed while it was read`,
    where: path,
    fix: "write new versions under a temporary name and rename them; the task is tried again by itself",
  });
}

function readError(error: unknown, path: string): TraceError {
  const code = (error as NodeJS.ErrnoException).code ?? "unknown error";
  if (code === "ENOENT" || code === "ENOTDIR") return missing(path);
  return new TraceError("TR-5001", {
    detail: `the source '${path}' cannot be read: ${code}`,
    where: path,
    fix: "let the user that runs the worker read the file and enter its folders",
    cause: error,
  });
}
