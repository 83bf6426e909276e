/**
 * The error catalogue and the one error class that crosses a boundary in Trace.
 *
 * An error says what happened (`detail`), where, why, and what fixes it. Its code decides its family and its HTTP
 * status. On the wire it is an RFC 9457 problem document with our members beside the standard ones.
 */
import { z } from "zod";
import { apiErrors } from "./api.ts";
import { cliErrors } from "./cli.ts";
import { dagErrors } from "./dag.ts";
import { datasetErrors } from "./dataset.ts";
import { localErrors } from "./local.ts";
import { operatorErrors } from "./operator.ts";
import { taskErrors } from "./task.ts";
import type { ErrorDefinition, ErrorFamily } from "./types.ts";

export type { ErrorDefinition, ErrorFamily } from "./types.ts";

export const errorCatalogue = {
  ...apiErrors,
  ...dagErrors,
  ...taskErrors,
  ...datasetErrors,
  ...operatorErrors,
  ...localErrors,
  ...cliErrors,
} as const satisfies Record<string, ErrorDefinition>;

export type ErrorCode = keyof typeof errorCatalogue;

export const errorCodeSchema = z.enum(Object.keys(errorCatalogue) as [ErrorCode, ...ErrorCode[]]);

export interface TraceErrorParts {
  /** What happened, one sentence, with the names and numbers that matter. Never a secret. */
  readonly detail: string;
  /** Where: `quakes.yaml:14:7`, `job ingest, attempt 2`, a URL without its query. */
  readonly where?: string | undefined;
  /** Why it is refused or failed, when the detail does not say it already. */
  readonly why?: string | undefined;
  /** The command or edit that fixes it. */
  readonly fix?: string | undefined;
  readonly cause?: unknown;
}

export class TraceError extends Error {
  readonly code: ErrorCode;
  readonly where: string | undefined;
  readonly why: string | undefined;
  readonly fix: string | undefined;

  constructor(code: ErrorCode, parts: TraceErrorParts) {
    super(parts.detail, parts.cause === undefined ? undefined : { cause: parts.cause });
    this.name = "TraceError";
    this.code = code;
    this.where = parts.where;
    this.why = parts.why;
    this.fix = parts.fix;
  }

  get family(): ErrorFamily {
    return errorCatalogue[this.code].family;
  }

  get retryable(): boolean {
    return this.family === "retryable";
  }
}

/** What is kept of an error in a row, a message or a log: the catalogue's part and the words, never a stack. */
export const errorRecordSchema = z
  .object({
    code: errorCodeSchema,
    detail: z.string().max(4_000),
    where: z.string().max(1_000).optional(),
    why: z.string().max(4_000).optional(),
    fix: z.string().max(1_000).optional(),
  })
  .meta({ id: "ErrorRecord" });
export type ErrorRecord = z.infer<typeof errorRecordSchema>;

/** RFC 9457 problem document, media type `application/problem+json`. */
export const problemSchema = errorRecordSchema
  .extend({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    retryable: z.boolean(),
    /** Further errors of the same call, where all are reported at once. */
    errors: z.array(errorRecordSchema).max(1_000).optional(),
  })
  .meta({ id: "Problem" });
export type Problem = z.infer<typeof problemSchema>;

function clip(text: string | undefined, max: number): string | undefined {
  return text === undefined || text.length <= max ? text : `${text.slice(0, max - 1)}…`;
}

export function toErrorRecord(error: TraceError): ErrorRecord {
  const record: ErrorRecord = { code: error.code, detail: clip(error.message, 4_000) ?? "" };
  const where = clip(error.where, 1_000);
  const why = clip(error.why, 4_000);
  const fix = clip(error.fix, 1_000);
  if (where !== undefined) record.where = where;
  if (why !== undefined) record.why = why;
  if (fix !== undefined) record.fix = fix;
  return record;
}

export function toProblem(error: TraceError): Problem {
  const definition = errorCatalogue[error.code];
  return {
    type: `urn:trace:error:${error.code}`,
    title: definition.title,
    status: definition.httpStatus,
    retryable: definition.family === "retryable",
    ...toErrorRecord(error),
  };
}

export function fromErrorRecord(record: ErrorRecord): TraceError {
  return new TraceError(record.code, record);
}
