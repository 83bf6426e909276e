/** Bounds of the guard for outgoing HTTP that no caller may widen. */

/** Hops after the first request. */
export const redirectsMax = 5;
/** Status line and headers of one reply, bytes. */
export const replyHeaderBytesMax = 16_384;
/** A URL, characters; also of one that a redirect names. */
export const guardedUrlCharsMax = 8_192;
/** A host name and one label of it, characters (RFC 1035, section 2.3.4). */
export const hostCharsMax = 253;
export const hostLabelCharsMax = 63;
/** Addresses of one answer of a resolver; a longer answer is refused. */
export const resolvedAddressesMax = 64;
