/** The text of postgresql.conf and pg_hba.conf, written anew at each start: settings live in code, not in old files. */

import { postgresLimits } from "./limits.ts";
import { bootstrapUser } from "./setup.ts";

export type SettingValue = string | number | boolean;

/** Settings of every embedded server. Memory at rest and disk stay small; durability is never traded for speed. */
function defaults(port: number): Record<string, SettingValue> {
  return {
    listen_addresses: "127.0.0.1",
    port,
    // No socket file: its path is limited to 107 bytes, and a checkout may be anywhere.
    unix_socket_directories: "",
    max_connections: postgresLimits.connectionsMax,
    password_encryption: "scram-sha-256",
    fsync: true,
    synchronous_commit: true,
    full_page_writes: true,
    shared_buffers: `${postgresLimits.sharedBuffersMiB}MB`,
    huge_pages: "off",
    // Synchronous reads need no I/O worker processes, three of which would sit there at rest.
    io_method: "sync",
    jit: false,
    wal_level: "minimal",
    max_wal_senders: 0,
    max_logical_replication_workers: 0,
    min_wal_size: `${postgresLimits.walMinMiB}MB`,
    max_wal_size: `${postgresLimits.walMaxMiB}MB`,
    idle_in_transaction_session_timeout: postgresLimits.idleInTransactionMaxMs,
    timezone: "UTC",
    log_timezone: "UTC",
    lc_messages: "C",
    log_destination: "stderr",
    logging_collector: false,
    log_line_prefix: "%m|%p|%e|",
    log_checkpoints: false,
    // Statements and details carry users' values; the client that sent them knows them already.
    log_min_error_statement: "panic",
    log_error_verbosity: "terse",
  };
}

function quoted(value: SettingValue): string {
  if (typeof value === "boolean") return value ? "on" : "off";
  if (typeof value === "number") return String(value);
  if (/[\r\n\0]/.test(value)) throw new RangeError("a Postgres setting is one line");
  return `'${value.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
}

/** `overrides` win over the defaults. Throws RangeError on a name or a value that is no setting. */
export function postgresqlConf(port: number, overrides: Readonly<Record<string, SettingValue>> = {}): string {
  const lines = Object.entries({ ...defaults(port), ...overrides }).map(([name, value]) => {
    if (!/^[a-z_][a-z0-9_.]*$/.test(name)) throw new RangeError(`not a Postgres setting: ${name}`);
    return `${name} = ${quoted(value)}`;
  });
  return ["# Written by Trace at each start; changes here are lost.", ...lines, ""].join("\n");
}

/** Loopback with a password, for everyone but the bootstrap superuser, who cannot log in at all. */
export function pgHbaConf(): string {
  return [
    "# Written by Trace at each start; changes here are lost.",
    `host all ${bootstrapUser} all reject`,
    "host all all 127.0.0.1/32 scram-sha-256",
    "",
  ].join("\n");
}
