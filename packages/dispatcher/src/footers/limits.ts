/** Bounds of the footer checks, apart from the dispatcher's others because the child starts with these alone. */

const mib = 1024 * 1024;

/** The last bytes of a file that are fetched at once: most footers fit. */
export const footerTailBytes = 64 * 1024;
/** The largest footer that is read, bytes. A file with a larger one is refused. */
export const footerBytesMax = 16 * mib;
/** Footers that are parsed at once, each by a child of its own. */
export const footerChildrenMax = 2;
/** From handing a footer to a child to its answer, the start of the child included, milliseconds. */
export const footerDeadlineMs = 15_000;
/** A child that nobody used for this long is ended, milliseconds. */
export const footerChildIdleMs = 60_000;
/** V8's old space in the child, in MiB, and RLIMIT_DATA of the whole child, bytes: the tree of a footer of 16 MiB fits. */
export const footerHeapMib = 512;
export const footerDataBytesMax = 1_024 * mib;
/** Processor time of one child over its life, seconds: it bounds what the deadline cannot, a child whose parent is gone. */
export const footerCpuSecondsMax = 600;
/** Open files of the child. */
export const footerFilesMax = 64;
/** The child's answer, bytes: 2,000 columns with their types and bounds. */
export const footerReplyBytesMax = 64 * mib;
/** Kept of the child's standard error, for the log, bytes. */
export const footerStderrBytesMax = 4 * 1024;

/** Levels of groups in a schema, and nodes of it. */
export const schemaDepthMax = 64;
export const schemaNodesMax = 100_000;
/** Columns of a file: what a dataset takes (the contracts' bound, not imported: the child starts without). */
export const footerColumnsMax = 2_000;
/** Row groups of one file. */
export const rowGroupsMax = 65_536;
/** A bound longer than this is not told, bytes: a manifest has at most 256 characters, of up to 4 bytes each. */
export const boundBytesMax = 1_024;
/** A column's name and the text of its type, characters, as a manifest may have them. */
export const nameCharsMax = 255;
export const typeCharsMax = 20_000;
