/** What came back for a request of ours: its text, bounded, and the error it stands for. */
import { type ErrorCode, problemSchema, TraceError, type TransportRequest } from "@trace/contracts";
import { backoffMs } from "../backoff.ts";
import type { Random } from "../clock.ts";
import { answerBytesMax, refusedRetry, retryAfterMsMax } from "../limits.ts";

export interface Answer {
  readonly status: number;
  readonly text: string;
  /** What `Retry-After` asks for, milliseconds; undefined without one. */
  readonly retryAfterMs: number | undefined;
}

type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** Reads all of it. Throws when it is larger than we take. */
export async function readAnswer(status: number, headers: Headers, body: AsyncIterable<Uint8Array>): Promise<Answer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > answerBytesMax) throw new Error(`the answer is larger than ${answerBytesMax} bytes`);
    chunks.push(chunk);
  }
  const seconds = String(headers["retry-after"] ?? "");
  return {
    status,
    text: Buffer.concat(chunks).toString("utf8"),
    retryAfterMs: /^\d{1,6}$/.test(seconds) ? Math.min(Number(seconds) * 1_000, retryAfterMsMax) : undefined,
  };
}

export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The error that an answer, or the event of a stream, describes; undefined when it describes none. */
export function problemError(body: unknown): TraceError | undefined {
  const problem = problemSchema.safeParse(body);
  if (!problem.success) return undefined;
  const error = new TraceError(problem.data.code, problem.data);
  return Object.assign(error, { errors: problem.data.errors?.map((record) => new TraceError(record.code, record)) });
}

/** The error of any answer that is not a success. */
export function errorOf(answer: Answer, baseUrl: string): TraceError {
  return (
    problemError(jsonOf(answer.text)) ??
    new TraceError("TR-1010", {
      detail: `${baseUrl} answered ${answer.status} with a body that is no answer of Trace`,
      fix: "check that this address belongs to Trace and that both sides run the same version",
    })
  );
}

export function unreachable(error: unknown, baseUrl: string, request: TransportRequest): TraceError {
  return new TraceError("TR-1007", {
    detail: `no answer from ${baseUrl}: ${error instanceof Error ? error.message : String(error)}`,
    where: `${request.method} ${request.path.split("?")[0]}`,
    fix: "check that the service runs: 'trace doctor'; start the local stack with 'trace up'",
    cause: error,
  });
}

/** Refusals that come before anything of the call was done: any call may be sent again, not only a harmless one. */
const undoneCodes: readonly ErrorCode[] = ["TR-1008", "TR-1015"];

export function refusedBeforeDone(answer: Answer): boolean {
  if (answer.status !== 429 && answer.status !== 503) return false;
  const code = problemError(jsonOf(answer.text))?.code;
  return code !== undefined && undoneCodes.includes(code);
}

/** Never earlier than the service asked for, and not all callers at the same moment. */
export function refusedWaitMs(retryAfterMs: number | undefined, tries: number, random: Random): number {
  if (retryAfterMs === undefined) return backoffMs(refusedRetry, tries, random);
  return retryAfterMs * (1 + random() / 2);
}
