/** Which process owns a thing that outlives it on the disk, and whether that process is gone. */
import { readFile, readlink } from "node:fs/promises";
import { hostname } from "node:os";

/** In place of a time of start: this system does not tell it. */
const unknownStart = "0";

interface SeenProcess {
  readonly state: string;
  /**
   * When it began, in clock ticks since boot: field 22 of /proc/<pid>/stat (proc(5)). With the id it names one process for
   * good, as ids are used again.
   */
  readonly start: string;
}

/** Undefined when there is no such process, or none that is shown to us, or no /proc. */
async function seenProcess(pid: number): Promise<SeenProcess | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    // The name, field 2, may hold spaces and brackets; what follows its last bracket does not.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0] ?? "", start: fields[19] ?? unknownStart };
  } catch {
    return undefined;
  }
}

export async function ownStart(): Promise<string> {
  return (await seenProcess(process.pid))?.start ?? unknownStart;
}

/**
 * True only when the process that `pid` and `start` name runs no more, for certain: one that cannot be seen, that is
 * stopped, or of which it is not known when it began, counts as alive. A zombie runs no more. Asked of a process of this place.
 */
export async function isGone(pid: number, start: string): Promise<boolean> {
  const seen = await seenProcess(pid);
  if (seen !== undefined) return "ZX".includes(seen.state) || (start !== unknownStart && seen.start !== start);
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

/**
 * Where process ids mean what they mean here: one boot of one machine, and one namespace of process ids in it, as each
 * container has its own. Without /proc, the machine.
 */
export async function ownPlace(): Promise<string> {
  try {
    const boot = await readFile("/proc/sys/kernel/random/boot_id", "utf8");
    return `${boot.trim()} ${await readlink("/proc/self/ns/pid")}`;
  } catch {
    return hostname();
  }
}
