/** What went wrong inside, told as S3 tells it, and what of it belongs in the log. */
import { TraceError } from "@trace/contracts";
import { errno } from "./disk.ts";
import { S3Error } from "./errors.ts";

export interface Failure {
  readonly answer: S3Error;
  /** Present when an operator should see it. */
  readonly logged?: TraceError | undefined;
}

export function judgeFailure(error: unknown, root: string): Failure {
  if (error instanceof S3Error) return { answer: error };
  const internal = new S3Error("InternalError", "We encountered an internal error. Please try again.", {
    cause: error,
  });
  if (error instanceof TraceError) return { answer: internal, logged: error };
  switch (errno(error)) {
    case "ENOSPC":
    case "EDQUOT": {
      const full = diskFull(error, root);
      return { answer: new S3Error("InsufficientStorage", sentence(full), { cause: error }), logged: full };
    }
    case "ENAMETOOLONG":
      return {
        answer: new S3Error("KeyTooLongError", "The key does not fit a path of this machine's file system."),
      };
    case "EMFILE":
    case "ENFILE":
      return { answer: new S3Error("SlowDown", "Please reduce your request rate."), logged: broken(error, root) };
    default:
      return { answer: internal, logged: broken(error, root) };
  }
}

function diskFull(cause: unknown, root: string): TraceError {
  return new TraceError("TR-6101", {
    detail: "The object was not stored: the disk of the embedded object store is full.",
    where: root,
    why: `The file system answered ${errno(cause)}. Nothing of the upload was kept.`,
    fix: `Free space (df -h '${root}') or move the state folder to a larger disk, then try again.`,
    cause,
  });
}

function broken(cause: unknown, root: string): TraceError {
  return new TraceError("TR-6106", {
    detail: `A request to the embedded object store failed: ${errno(cause) ?? "unexpected error"}.`,
    where: root,
    cause,
  });
}

/** The four parts in one line, for the Message of an S3 error, which has no other place for them. */
function sentence(error: TraceError): string {
  return `${error.code}: ${error.message} Where: ${error.where}. Why: ${error.why} Fix: ${error.fix}`;
}
