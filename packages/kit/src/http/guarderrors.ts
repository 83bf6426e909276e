/** Turns what can go wrong while fetching from a stranger into catalogued errors that name the host and no more. */
import { TraceError } from "@trace/contracts";
import { errors } from "undici";
import { printableHost } from "./guardurl.ts";

/** Replies that a later request may not meet: request timeout, too early, too many requests. */
const retryable4xx: ReadonlySet<number> = new Set([408, 425, 429]);

export function statusError(host: string, status: number): TraceError {
  const where = printableHost(host);
  if (status >= 500 || retryable4xx.has(status)) {
    return new TraceError("TR-5309", {
      detail: `${where} answers with HTTP status ${status}.`,
      where,
      fix: "Nothing at first: the request is tried again. If it lasts, ask whoever runs the source.",
    });
  }
  return new TraceError("TR-5308", {
    detail: `${where} answers with HTTP status ${status}.`,
    where,
    fix: "Open the URL in a browser; correct it if it moved, or choose a source that needs no login.",
  });
}

export function tooSlow(host: string, what: string, limitMs: number): TraceError {
  const where = printableHost(host);
  return new TraceError("TR-5307", {
    detail: `${where} is too slow: ${what} took more than ${limitMs} ms.`,
    where,
    fix: "Nothing at first: the request is tried again. If it lasts, take the data in smaller parts.",
  });
}

export function tooLarge(host: string, what: string, limitBytes: number): TraceError {
  const where = printableHost(host);
  return new TraceError("TR-5310", {
    detail: `${what} of ${where} is larger than ${limitBytes} bytes.`,
    where,
    fix: "Ask the source for less, by a filter or a page, or raise the bound on ingested bytes.",
  });
}

/** Nothing came for as long as the caller allows; `what` was waited for. */
export class IdleTimeout extends Error {
  readonly what: string;

  constructor(what: string) {
    super(`nothing came: ${what}`);
    this.what = what;
  }
}

export interface ErrorContext {
  readonly host: string;
  readonly connectTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly headerBytesMax: number;
}

/** Codes of Node's TLS (OpenSSL's verify errors and its own) that mean the certificate and not the line. */
const certificateCodes =
  /^(CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_CERT_|HOSTNAME_MISMATCH|CRL_|INVALID_CA|PATH_LENGTH_EXCEEDED)/;
const resolveCodes: ReadonlySet<string> = new Set([
  "ENOTFOUND",
  "EAI_AGAIN",
  "EAI_FAIL",
  "EAI_NODATA",
  "ENODATA",
  "ESERVFAIL",
  "ETIMEOUT",
]);

/** The catalogued error for what Node or the connector threw. Its own text stays in `cause`, for the log only. */
export function fetchError(error: unknown, context: ErrorContext): TraceError {
  if (error instanceof TraceError) return error;
  const { host } = context;
  const where = printableHost(host);
  if (error instanceof errors.ConnectTimeoutError) return tooSlow(host, "connecting", context.connectTimeoutMs);
  if (error instanceof IdleTimeout) return tooSlow(host, error.what, context.idleTimeoutMs);
  const inner = innermost(error);
  if (inner instanceof TraceError) return inner;
  const code = inner instanceof Error && "code" in inner && typeof inner.code === "string" ? inner.code : "";
  if (code === "HPE_HEADER_OVERFLOW") return tooLarge(host, "The header of the reply", context.headerBytesMax);
  if (resolveCodes.has(code)) return unresolved(host, inner);
  if (certificateCodes.test(code)) {
    return new TraceError("TR-5314", {
      detail: `The certificate of ${where} is not accepted (${code}).`,
      where,
      fix: "Ask whoever runs the source to renew or correct its certificate; Trace does not skip the check.",
      cause: error,
    });
  }
  return new TraceError("TR-5306", {
    detail: `The connection to ${where} failed${/^[A-Z_]{3,40}$/.test(code) ? ` (${code})` : ""}.`,
    where,
    fix: "Nothing at first: the request is tried again. If it lasts, check that the source is up.",
    cause: error,
  });
}

export function unresolved(host: string, cause?: unknown): TraceError {
  const where = printableHost(host);
  return new TraceError("TR-5305", {
    detail: `The host name ${where} cannot be resolved.`,
    where,
    fix: "Check the spelling of the host. If it is right, the request is tried again by itself.",
    cause,
  });
}

/** With several addresses Node throws an AggregateError: the first of its errors tells as much as any. */
function innermost(error: unknown): unknown {
  let inner = error;
  for (let depth = 0; depth < 5; depth++) {
    if (inner instanceof AggregateError && inner.errors.length > 0) inner = inner.errors[0];
    else if (inner instanceof Error && !("code" in inner) && inner.cause !== undefined) inner = inner.cause;
    else break;
  }
  return inner;
}
