/** Settings of Postgres that a promise of Trace rests on: what was answered as done must be there after a crash. Pure but for the call. */
import type { PostgresEndpoint } from "../state/endpoints.ts";
import { type Finding, fail, ok, warn } from "./check.ts";

export interface PostgresSettings {
  readonly server_version: string;
  readonly fsync: string;
  readonly full_page_writes: string;
  readonly synchronous_commit: string;
  readonly data_checksums: string;
}

/** What is asked, with the role of the database's owner: none of it needs more. */
export const settingsQuery = `select current_setting('server_version') as server_version, current_setting('fsync') as fsync,
  current_setting('full_page_writes') as full_page_writes, current_setting('synchronous_commit') as synchronous_commit,
  current_setting('data_checksums') as data_checksums`;

const versionMin = 16;

/** Pure. */
export function judgeSettings(found: PostgresSettings): Finding {
  const off = (["fsync", "full_page_writes"] as const).filter((name) => found[name] !== "on");
  const version = `version ${found.server_version}`;
  if (off.length > 0) {
    return fail(
      `${version}, ${off.map((name) => `${name} is off`).join(", ")}: a crash loses or damages what was committed`,
      `set ${off.map((name) => `${name} = on`).join(", ")} in postgresql.conf and start it again`,
    );
  }
  if (found.synchronous_commit === "off") {
    return fail(
      `${version}, synchronous_commit is off: a crash loses the last commits`,
      "set synchronous_commit = on in postgresql.conf and reload it",
    );
  }
  if (Number.parseInt(found.server_version, 10) < versionMin) {
    return fail(`${version}; Trace needs ${versionMin} or newer`, "upgrade Postgres");
  }
  const safe = `${version}, fsync and full_page_writes on`;
  if (found.data_checksums === "on") return ok(`${safe}, checksums`);
  return warn(
    `${safe}, without data checksums`,
    "a damaged page is not noticed: turn them on with pg_checksums --enable",
  );
}

/** Where the settings of a local server are asked. */
export interface AskedPostgres extends PostgresEndpoint {
  readonly name: "state" | "data";
  readonly password: string;
}
