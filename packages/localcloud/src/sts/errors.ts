/**
 * Refusals of STS, in its words and statuses. Sources:
 * https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html#API_AssumeRole_Errors
 * https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html
 */
import type { S3Error, S3ErrorCode } from "../s3/errors.ts";
import { element, xmlDocument } from "../s3/xml.ts";

const statuses = {
  AccessDenied: 403,
  ExpiredToken: 403,
  IncompleteSignature: 400,
  InternalFailure: 500,
  InvalidAction: 400,
  InvalidClientTokenId: 403,
  MalformedPolicyDocument: 400,
  MissingAuthenticationToken: 403,
  RequestExpired: 400,
  ServiceUnavailable: 503,
  SignatureDoesNotMatch: 403,
  ValidationError: 400,
} as const;

export type StsErrorCode = keyof typeof statuses;

export class StsError extends Error {
  readonly code: StsErrorCode;
  readonly status: number;

  constructor(code: StsErrorCode, message: string, options?: { cause: unknown }) {
    super(message, options);
    this.name = "StsError";
    this.code = code;
    this.status = statuses[code];
  }
}

/** What STS calls the refusals that it shares with S3. */
const names: Partial<Record<S3ErrorCode, StsErrorCode>> = {
  ExpiredToken: "ExpiredToken",
  InvalidAccessKeyId: "InvalidClientTokenId",
  InvalidToken: "InvalidClientTokenId",
  RequestTimeTooSkewed: "RequestExpired",
  SignatureDoesNotMatch: "SignatureDoesNotMatch",
  SlowDown: "ServiceUnavailable",
};

export function asStsError(error: S3Error): StsError {
  const code = names[error.code] ?? (error.status >= 500 ? "InternalFailure" : "IncompleteSignature");
  return new StsError(code, error.message, { cause: error });
}

export const stsNamespace = "https://sts.amazonaws.com/doc/2011-06-15/";

export function stsErrorXml({ code, status, message }: StsError, requestId: string): string {
  const members =
    element("Type", status < 500 ? "Sender" : "Receiver") + element("Code", code) + element("Message", message);
  return xmlDocument(
    `<ErrorResponse xmlns="${stsNamespace}"><Error>${members}</Error>${element("RequestId", requestId)}</ErrorResponse>`,
  );
}
