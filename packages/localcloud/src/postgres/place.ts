/**
 * Who runs the servers, and where their files are.
 *
 * Postgres refuses to run as root. An ordinary user's servers live in the state folder and run as that user. For root
 * they run as the existing user `nobody`, under `/var/lib/trace/<id>`: a state folder may be below a home that only
 * root can enter. Nothing else of the machine is changed: no user is added, no setting edited.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { TraceError } from "@trace/contracts";
import { writeAtomic } from "../state/files.ts";

export interface RunAs {
  readonly uid: number;
  readonly gid: number;
}

export interface Place {
  /** Holds `state`, `data` and, where needed, a copy of the programs. */
  readonly base: string;
  /** Undefined: as the present user. */
  readonly runAs: RunAs | undefined;
}

export const rootFolderDefault = "/var/lib/trace";

/** Looks `nobody` up in the text of /etc/passwd. Throws TR-6017 when the machine has no such user. */
export function findNobody(passwd: string): RunAs {
  for (const line of passwd.split("\n")) {
    const [name, , uid, gid] = line.split(":");
    if (name === "nobody" && /^\d+$/.test(uid ?? "") && /^\d+$/.test(gid ?? "") && Number(uid) !== 0) {
      return { uid: Number(uid), gid: Number(gid) };
    }
  }
  throw new TraceError("TR-6017", {
    detail: "Postgres does not run as root, and this machine has no user `nobody` to run it as.",
    where: "/etc/passwd",
    fix: "Run Trace as an ordinary user, or add the user `nobody` that most systems come with.",
  });
}

/** A folder of ours that `nobody` may pass through; the umask of whoever started us must not close it. */
function makePassable(folder: string): void {
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, 0o755);
}

/**
 * Below `/var/lib/trace/<id>` a note says which state folder it belongs to. A copied state folder carries the same id:
 * two stacks on one cluster would stop each other's servers, so the copy is refused while the original exists.
 */
function claim(base: string, stateDir: string, id: string): void {
  const note = join(base, "owner.json");
  const here = realpathSync(stateDir);
  if (existsSync(note)) {
    const owner = (JSON.parse(readFileSync(note, "utf8")) as { stateDir?: unknown }).stateDir;
    if (owner === here) return;
    if (typeof owner === "string" && readIdIn(owner) === id) {
      throw new TraceError("TR-6003", {
        detail: `The databases in ${base} belong to the state folder ${owner}, which still exists.`,
        where: join(here, "id"),
        why: `${here} carries the same id, so it is a copy of it.`,
        fix: `Use ${owner}; or, for an empty stack here, remove ${here} and start again.`,
      });
    }
  }
  writeAtomic(note, `${JSON.stringify({ stateDir: here })}\n`, 0o600);
}

function readIdIn(stateDir: string): string | undefined {
  try {
    return readFileSync(join(stateDir, "id"), "utf8").trim();
  } catch {
    return undefined; // moved or removed: then the present folder is the one that is left
  }
}

/** Decides and prepares the place. `id` is the state folder's. Throws TR-6003, TR-6017. */
export function findPlace(options: {
  stateDir: string;
  id: string;
  rootFolder?: string | undefined;
  uid?: number | undefined;
}): Place {
  const uid = options.uid ?? process.getuid?.();
  if (uid !== 0) {
    const base = join(options.stateDir, "postgres");
    mkdirSync(base, { recursive: true, mode: 0o700 });
    return { base, runAs: undefined };
  }
  const runAs = findNobody(readFileSync("/etc/passwd", "utf8"));
  const rootFolder = options.rootFolder ?? rootFolderDefault;
  const base = join(rootFolder, options.id);
  makePassable(rootFolder);
  makePassable(base);
  claim(base, options.stateDir, options.id);
  return { base, runAs };
}
