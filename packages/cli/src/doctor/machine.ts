/** Checks of the machine: Node, npm, platform, open files. */
import { execFile } from "node:child_process";
import { arch, platform, release } from "node:os";
import { promisify } from "node:util";
import { openFilesMin } from "../limits.ts";
import { count } from "../terminal/format.ts";
import { type Check, type DoctorWorld, type Finding, fail, ok, skip, warn } from "./check.ts";

const nodeMin = [22, 18] as const;

/** Whether this Node runs Trace. Pure. */
export function judgeNode(version: string): Finding {
  const [major = 0, minor = 0] = version.replace(/^v/, "").split(".").map(Number);
  const enough = major > nodeMin[0] || (major === nodeMin[0] && minor >= nodeMin[1]);
  const needed = `${nodeMin.join(".")} or newer`;
  return enough
    ? ok(`${version.replace(/^v/, "")} (needs ${needed})`)
    : fail(
        `${version}, and Trace needs ${needed}`,
        "install Node 24 from https://nodejs.org, or use 'npm start', which fetches it on Linux",
      );
}

/** Where Postgres and DuckDB come as ready-made programs. Pure. */
export function judgePlatform(system: string, processor: string, version: string): Finding {
  const detail = `${system} ${processor}, ${version}`;
  const known = (system === "linux" || system === "darwin") && (processor === "x64" || processor === "arm64");
  return known ? ok(detail) : warn(detail, "run Trace on Linux or macOS, x64 or arm64; on Windows, inside WSL");
}

/** Pure. `limit` is the soft limit of open files; undefined where the system does not say. */
export function judgeOpenFiles(limit: number | "unlimited" | undefined): Finding {
  if (limit === undefined) return skip("this system does not say");
  if (limit === "unlimited") return ok("unlimited");
  if (limit >= openFilesMin) return ok(`${count(limit)} at once`);
  return warn(
    `${count(limit)} at once; under load the stack wants ${count(openFilesMin)}`,
    `raise it before starting: ulimit -n ${openFilesMin}`,
  );
}

function openFilesLimit(): number | "unlimited" | undefined {
  // The report lists network interfaces by resolving names unless told not to, which can take seconds.
  Object.assign(process.report, { excludeNetwork: true });
  const report = process.report.getReport() as { userLimits?: { open_files?: { soft?: number | "unlimited" } } };
  return report.userLimits?.open_files?.soft;
}

async function npmVersion(world: DoctorWorld, signal: AbortSignal): Promise<Finding> {
  const agent = /npm\/(\S+)/.exec(world.env.npm_config_user_agent ?? "")?.[1];
  if (agent !== undefined) return ok(agent);
  try {
    const { stdout } = await promisify(execFile)("npm", ["--version"], { signal });
    return ok(stdout.trim());
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return warn("not found on the PATH", "install npm, which comes with Node; only installing and 'npm start' need it");
  }
}

export function machineChecks(world: DoctorWorld): Check[] {
  const group = "machine";
  return [
    { name: "node", group, find: () => Promise.resolve(judgeNode(process.version)) },
    { name: "npm", group, find: (signal) => npmVersion(world, signal) },
    { name: "platform", group, find: () => Promise.resolve(judgePlatform(platform(), arch(), release())) },
    { name: "open files", group, find: () => Promise.resolve(judgeOpenFiles(openFilesLimit())) },
  ];
}
