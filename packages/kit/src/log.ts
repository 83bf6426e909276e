/**
 * Logs: one JSON line per event on standard error, pretty when it is a terminal.
 *
 * Standard output belongs to data (CLI answers); nothing here writes to it.
 */
import { errorCatalogue, TraceError } from "@trace/contracts";
import { destination, type Logger, pino, stdSerializers } from "pino";
import { prettyLine } from "./logpretty.ts";

export type Log = Logger;

export interface LogOptions {
  /** The role that speaks: `dispatcher`, `worker`, ... */
  readonly role: string;
  readonly level?: string | undefined;
  /** Pretty lines for people; default: standard error is a terminal. */
  readonly pretty?: boolean | undefined;
  /** Takes the lines instead of standard error. */
  readonly write?: ((line: string) => void) | undefined;
}

/** Names whose values never reach a log, at any of the first three depths. */
const secretNames = [
  "token",
  "leaseToken",
  "lease_token",
  "secret",
  "password",
  "authorization",
  "secretAccessKey",
  "url.password",
];
const redactPaths = secretNames.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);

function serializeError(error: unknown): unknown {
  if (error instanceof TraceError) {
    return {
      code: error.code,
      title: errorCatalogue[error.code].title,
      detail: error.message,
      where: error.where,
      why: error.why,
      fix: error.fix,
      cause: error.cause instanceof Error ? { message: error.cause.message, stack: error.cause.stack } : undefined,
    };
  }
  return error instanceof Error ? stdSerializers.err(error) : error;
}

export function createLog(options: LogOptions): Log {
  const pretty = options.pretty ?? (options.write === undefined && process.stderr.isTTY === true);
  const write = options.write ?? ((line: string) => void process.stderr.write(line));
  const stream =
    pretty || options.write !== undefined
      ? { write: (line: string) => write(pretty ? prettyLine(line) : line) }
      : destination({ fd: 2, sync: true });
  return pino(
    {
      level: options.level ?? "info",
      base: { role: options.role, pid: process.pid },
      messageKey: "message",
      errorKey: "error",
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: serializeError },
      redact: { paths: redactPaths, censor: "[redacted]" },
    },
    stream,
  );
}

/** A log that says nothing, for tests. */
export function silentLog(): Log {
  return pino({ level: "silent" });
}
