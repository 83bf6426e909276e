/**
 * What an error of Trace is made of. One code is one fact with one page (docs/errors/<code>.md); the family is
 * decided here, by code, and never by matching text.
 */

/** Retryable: the same call may succeed later, unchanged. Terminal: something must be changed first. */
export type ErrorFamily = "retryable" | "terminal";

export interface ErrorDefinition {
  /** A short noun phrase, sentence case, the page's title. */
  readonly title: string;
  readonly family: ErrorFamily;
  /** The HTTP status an API answers with when this error ends a call. */
  readonly httpStatus: number;
}

/** Keeps the literal code names while checking each definition's shape. */
export function defineErrors<const T extends Record<`TR-${number}`, ErrorDefinition>>(codes: T): T {
  return codes;
}
