/** Bounds of a run against independent programs. Units are in the names. */

/** Bringing Debian's packages, milliseconds. */
export const bringMaxMs = 300_000;
/** One command of the aws cli, milliseconds; one takes about a second, most of it loading itself. */
export const commandMaxMs = 120_000;
/** The whole of the boto3 script, milliseconds. */
export const scriptMaxMs = 300_000;
/** Ceph from its first process to its first answer, milliseconds; about 20 s. */
export const cephReadyMaxMs = 180_000;
/** One command of Ceph's own tools, milliseconds. */
export const cephCommandMaxMs = 60_000;
/** Between two looks at whether Ceph is there yet, milliseconds. */
export const cephLookMs = 250;
/** The storage daemon may be refused by a monitor that is still finding itself, and is started again this often. */
export const cephStartsMax = 10;
/** A process that was told to end is killed after this, milliseconds. */
export const endMaxMs = 10_000;
/** The table of requests through vitest, milliseconds. */
export const tableMaxMs = 300_000;
/** What a program may say, bytes. */
export const outputBytesMax = 64 << 20;
/** Policies drawn at random beside those that were thought of. */
export const drawnPolicies = 15;
/** Documents of XML drawn, whole and broken each. */
export const drawnDocuments = 5_000;
