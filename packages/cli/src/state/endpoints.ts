/** `endpoints.json` of the state folder: where the running stack answers. Written by `trace up`, read by everyone else. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { TraceError } from "@trace/contracts";
import { readSmallFile } from "./settings-file.ts";

export interface PostgresEndpoint {
  readonly host: string;
  readonly port: number;
}

export interface Endpoints {
  readonly format: 1;
  readonly pid: number;
  readonly started_at: string;
  readonly user_api: string;
  readonly worker_api: string;
  readonly task_api: string;
  readonly s3: string;
  readonly sqs: string;
  readonly postgres: { readonly state: PostgresEndpoint; readonly data: PostgresEndpoint };
  /** Role to the base URL of its /healthz, /readyz and /metrics. */
  readonly ops: Readonly<Record<string, string>>;
  readonly logs: string;
  /** Folders that `ingest` may read files from. */
  readonly file_roots?: readonly string[] | undefined;
}

export const endpointsFileName = "endpoints.json";

function faultOf(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return "it is no JSON object";
  const fields = value as Record<string, unknown>;
  if (fields.format !== 1) return `its format is ${JSON.stringify(fields.format)}, and this version reads format 1`;
  for (const name of ["user_api", "worker_api", "task_api", "s3", "sqs"]) {
    if (typeof fields[name] !== "string" || !URL.canParse(fields[name])) return `'${name}' is no URL`;
  }
  const postgres = fields.postgres as Record<string, { host?: unknown; port?: unknown } | undefined> | undefined;
  for (const name of ["state", "data"]) {
    const server = postgres?.[name];
    if (typeof server?.host !== "string" || !Number.isInteger(server.port))
      return `'postgres.${name}' is no host and port`;
  }
  const ops = fields.ops;
  if (typeof ops !== "object" || ops === null || !Object.values(ops).every((url) => URL.canParse(String(url)))) {
    return "'ops' is no object of URLs";
  }
  return undefined;
}

/** Undefined when there is none: nothing runs, or ended cleanly. Throws TR-7010. */
export async function readEndpoints(dir: string): Promise<Endpoints | undefined> {
  const path = join(dir, endpointsFileName);
  if (!existsSync(path)) return undefined;
  const fix = `start the stack again with 'trace up', which writes it anew`;
  const text = await readSmallFile(path, { code: "TR-7010", what: "the stack's list of addresses", fix });
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    parsed = undefined; // named below, as any other wrong content
  }
  const why = faultOf(parsed);
  if (why === undefined) return parsed as Endpoints;
  throw new TraceError("TR-7010", { detail: "the stack's list of addresses cannot be read", where: path, why, fix });
}
