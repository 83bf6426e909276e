/**
 * Refusals of the S3 endpoint, in the words and statuses of S3's own list, so that any S3 client knows what to do.
 *
 * Source of codes and statuses: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
 */
import { element, xmlDocument } from "./xml.ts";

const statuses = {
  AccessDenied: 403,
  AuthorizationHeaderMalformed: 400,
  AuthorizationQueryParametersError: 400,
  BadDigest: 400,
  BucketAlreadyOwnedByYou: 409,
  EntityTooLarge: 400,
  EntityTooSmall: 400,
  ExpiredToken: 400,
  IncompleteBody: 400,
  InsufficientStorage: 507,
  InternalError: 500,
  InvalidAccessKeyId: 403,
  InvalidArgument: 400,
  InvalidDigest: 400,
  InvalidPart: 400,
  InvalidPartNumber: 416,
  InvalidPartOrder: 400,
  InvalidRange: 416,
  InvalidRequest: 400,
  InvalidToken: 400,
  InvalidURI: 400,
  KeyTooLongError: 400,
  MalformedTrailerError: 400,
  MalformedXML: 400,
  MaxMessageLengthExceeded: 400,
  MetadataTooLarge: 400,
  MethodNotAllowed: 405,
  MissingContentLength: 411,
  NoSuchBucket: 404,
  NoSuchKey: 404,
  NoSuchUpload: 404,
  NoSuchVersion: 404,
  NotImplemented: 501,
  PreconditionFailed: 412,
  RequestTimeTooSkewed: 403,
  RequestTimeout: 400,
  SignatureDoesNotMatch: 403,
  SlowDown: 503,
  XAmzContentSHA256Mismatch: 400,
} as const;

export type S3ErrorCode = keyof typeof statuses;

/** An answer other than success that the endpoint gives on purpose. Anything else that is thrown is an InternalError. */
export class S3Error extends Error {
  readonly code: S3ErrorCode;
  readonly status: number;
  /** Extra response headers, such as `content-range` of a 416. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    code: S3ErrorCode,
    message: string,
    options: { headers?: Readonly<Record<string, string>>; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "S3Error";
    this.code = code;
    this.status = statuses[code];
    this.headers = options.headers ?? {};
  }
}

/** The XML body that S3 clients parse. `resource` is the path asked for, never the query, which may hold a signature. */
export function errorXml(error: S3Error, resource: string, requestId: string): string {
  return xmlDocument(errorElement(error, resource, requestId));
}

export function errorElement(error: S3Error, resource: string, requestId: string): string {
  const members = [
    element("Code", error.code),
    element("Message", error.message),
    element("Resource", resource),
    element("RequestId", requestId),
  ];
  return `<Error>${members.join("")}</Error>`;
}
