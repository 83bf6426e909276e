/** Checks of the state folder: whose it is, who holds it, where Postgres lives, how full the disk is, the file roots. */
import { existsSync, readFileSync } from "node:fs";
import { access, constants, opendir, readFile, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import { diskFilesMax, diskFreeFailBytes, diskFreeWarnBytes } from "../limits.ts";
import { endpointsFileName } from "../state/endpoints.ts";
import { systemReason } from "../state/settings-file.ts";
import { bytes, plural, relative } from "../terminal/format.ts";
import { type Check, type DoctorWorld, type Finding, fail, type NamedFinding, ok, skip, warn } from "./check.ts";

/** Where root's databases live, in a folder named by the stack's id (an ordinary user's are in the state folder). */
const rootFolder = "/var/lib/trace";

async function stateFolder(world: DoctorWorld): Promise<Finding> {
  const { dir, exists, from } = world.state;
  const origin = from === "found" || from === "default" ? "" : `, named by ${from}`;
  if (!exists) return warn(`${dir} does not exist yet${origin}`, "'trace up' makes it");
  const found = await stat(dir);
  const uid = process.getuid?.();
  if (uid !== undefined && found.uid !== uid) {
    return fail(
      `${dir} belongs to user ${found.uid}, and this is user ${uid}`,
      "run Trace as its owner, or name another with --state",
    );
  }
  if ((found.mode & 0o077) !== 0) {
    return warn(`${dir} is open to other users (mode ${(found.mode & 0o777).toString(8)})`, `chmod 700 '${dir}'`);
  }
  return ok(`${dir}${origin}`);
}

function holder(world: DoctorWorld): Finding {
  const { holder: who, clock } = world;
  if (who === undefined)
    return world.endpoints === undefined ? ok("nobody holds it: no stack runs on it") : stale(world);
  if (who === "unknown") return ok("held by a process that is starting or stopping");
  return ok(`held by process ${who.pid} (${who.command}), started ${relative(who.since, clock.nowMs())}`);
}

function stale(world: DoctorWorld): Finding {
  const path = join(world.state.dir, endpointsFileName);
  return warn(`${path} is there, and nobody holds the folder: the last stack was killed`, "start it again: trace up");
}

function idOf(dir: string): string | undefined {
  const path = join(dir, "id");
  return existsSync(path) ? readFileSync(path, "utf8").trim() : undefined;
}

/** Where the databases of a state folder are. As root they cannot be below it. */
export function postgresFolder(dir: string, uid: number | undefined): string | undefined {
  if (uid !== 0) return join(dir, "postgres");
  const id = idOf(dir);
  return id === undefined ? undefined : join(rootFolder, id);
}

function postgresPlace(world: DoctorWorld): Finding {
  const folder = postgresFolder(world.state.dir, process.getuid?.());
  if (folder === undefined || !existsSync(folder)) return skip("no databases yet");
  const asNobody = process.getuid?.() === 0 ? ", running as user nobody" : "";
  return ok(`state and data live in ${folder}${asNobody}`);
}

/** Bytes on disk of what is in a folder, and whether counting stopped at its bound. */
async function usedBytes(folder: string, signal: AbortSignal): Promise<{ bytes: number; whole: boolean }> {
  let total = 0;
  let files = 0;
  const folders = [folder];
  for (let at = folders.pop(); at !== undefined; at = folders.pop()) {
    const entries = await opendir(at).catch(() => undefined); // gone meanwhile, or not ours to read
    if (entries === undefined) continue;
    for await (const entry of entries) {
      if (signal.aborted || files >= diskFilesMax) return { bytes: total, whole: false };
      files += 1;
      const path = join(at, entry.name);
      if (entry.isDirectory()) folders.push(path);
      else total += ((await stat(path).catch(() => undefined))?.blocks ?? 0) * 512;
    }
  }
  return { bytes: total, whole: true };
}

/** Pure. */
export function judgeDisk(free: number, total: number, where: string): Finding {
  const detail = `${bytes(free)} free of ${bytes(total)} at ${where}`;
  const fix = "make room, or move the state folder to another disk";
  if (free < diskFreeFailBytes) return fail(detail, fix);
  return free < diskFreeWarnBytes ? warn(detail, fix) : ok(detail);
}

async function disk(world: DoctorWorld, signal: AbortSignal): Promise<NamedFinding[]> {
  const { dir, exists } = world.state;
  const place = exists ? dir : process.cwd();
  const { bavail, blocks, bsize } = await statfs(place);
  const free = { name: "disk free", ...judgeDisk(bavail * bsize, blocks * bsize, place) };
  if (!exists) return [free];
  const postgres = postgresFolder(dir, process.getuid?.());
  const outside = postgres?.startsWith(rootFolder) === true ? [postgres] : [];
  const used = await Promise.all([dir, ...outside].map((folder) => usedBytes(folder, signal)));
  const sum = used.reduce((total, one) => total + one.bytes, 0);
  const least = used.every((one) => one.whole) ? "" : "at least ";
  return [free, { name: "disk used", ...ok(`${least}${bytes(sum)} by this stack`) }];
}

async function fileRoots(world: DoctorWorld): Promise<Finding> {
  const roots = world.endpoints?.file_roots;
  if (roots === undefined) return skip("no stack runs here; 'trace up --root FOLDER' names them");
  if (roots.length === 0) return ok("none: jobs read no local files; 'trace up --root FOLDER' names some");
  const faults: string[] = [];
  for (const root of roots) {
    try {
      if (!(await stat(root)).isDirectory()) faults.push(`${root} is no folder`);
      await access(root, constants.R_OK | constants.X_OK);
    } catch (error) {
      faults.push(`${root}: ${systemReason(error)}`);
    }
  }
  if (faults.length > 0)
    return fail(faults.join("; "), "make these folders, or start again with others: 'trace up --root FOLDER'");
  return ok(`${plural(roots.length, "folder")}: ${roots.join(", ")}`);
}

async function token(world: DoctorWorld): Promise<Finding> {
  const path = join(world.state.dir, "secrets", "api-token");
  if (!existsSync(path)) return skip("none yet; 'trace up' makes one");
  const { mode } = await stat(path);
  if ((mode & 0o077) !== 0) return fail(`${path} can be read by other users`, `chmod 600 '${path}'`);
  const text = await readFile(path, "utf8");
  return text.trim() === ""
    ? fail(`${path} is empty`, "remove it and start again: trace up")
    : ok("there, for its owner alone");
}

export function stateChecks(world: DoctorWorld): Check[] {
  const group = "state";
  return [
    { name: "state folder", group, find: () => stateFolder(world) },
    { name: "held by", group, find: () => Promise.resolve(holder(world)) },
    { name: "postgres", group, find: () => Promise.resolve(postgresPlace(world)) },
    { name: "api token", group, find: () => token(world) },
    { name: "disk", group, find: (signal) => disk(world, signal) },
    { name: "file roots", group, find: () => fileRoots(world) },
  ];
}
