/** Reads the small files that a command depends on, bounded, and says which one is the trouble. */
import { constants, type Stats } from "node:fs";
import { open } from "node:fs/promises";
import { type ErrorCode, TraceError } from "@trace/contracts";
import { settingsBytesMax } from "../limits.ts";

export interface FileFault {
  readonly code: ErrorCode;
  readonly what: string;
  readonly fix: string;
}

/** Why the system refused, in words, without its path. */
export function systemReason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case "ENOENT":
      return "there is no such file";
    case "EACCES":
    case "EPERM":
      return "this user may not read or write it";
    case "EISDIR":
      return "it is a folder";
    case "ENOTDIR":
      return "a part of its path is no folder";
    case "ENOSPC":
      return "the disk is full";
    case "EEXIST":
      return "it exists already";
    default:
      return code ?? message ?? String(error);
  }
}

function kindOf(found: Stats): string {
  if (found.isDirectory()) return "a folder";
  if (found.isFIFO()) return "a pipe";
  return found.isSocket() ? "a socket" : "a device";
}

/** Text of at most `bytesMax` bytes. Throws `fault.code`. */
export async function readSmallFile(path: string, fault: FileFault, bytesMax = settingsBytesMax): Promise<string> {
  return (await readSmallBytes(path, fault, bytesMax)).toString("utf8");
}

/** At most `bytesMax` bytes. Throws `fault.code`. */
export async function readSmallBytes(path: string, fault: FileFault, bytesMax: number): Promise<Buffer> {
  const failed = (why: string, cause?: unknown) =>
    new TraceError(fault.code, { detail: `${fault.what} cannot be read`, where: path, why, fix: fault.fix, cause });
  let file: Awaited<ReturnType<typeof open>>;
  try {
    // Without blocking: a pipe that nobody writes to would be waited for, without a word and without end.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw failed(systemReason(error), error);
  }
  try {
    const found = await file.stat();
    if (!found.isFile()) throw failed(`it is ${kindOf(found)}, not a plain file`);
    if (found.size > bytesMax) throw failed(`it is ${found.size} bytes long; at most ${bytesMax} are read`);
    return await file.readFile();
  } catch (error) {
    throw error instanceof TraceError ? error : failed(systemReason(error), error);
  } finally {
    await file.close();
  }
}
