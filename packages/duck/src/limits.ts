/** Every bound of a DuckDB run, with its unit. `DuckRun.limits` lowers or raises the first group for one run. */

const mib = 1024 * 1024;

/** Bounds of one run that a caller may set. */
export interface DuckLimits {
  /** From the call of `run` to its end, waiting for a free place and the start of the process included. */
  readonly deadlineMs: number;
  /** RLIMIT_DATA of the child: heap and private mappings of Node and DuckDB together. DuckDB's own limit is half of it. */
  readonly dataBytesMax: number;
  /** Threads DuckDB may use. */
  readonly threads: number;
  /** What a sort or a join may write to the run's private spill folder. */
  readonly spillBytesMax: number;
  /** Size of all Parquet outputs together; the child is killed when they grow past it. */
  readonly outputBytesMax: number;
  /** What compressed sources may unpack to, together, in the run's private folder. */
  readonly unpackBytesMax: number;
}

export const duckLimits: DuckLimits = {
  deadlineMs: 300_000,
  dataBytesMax: 1_536 * mib,
  threads: 2,
  spillBytesMax: 4_096 * mib,
  outputBytesMax: 4_096 * mib,
  unpackBytesMax: 16_384 * mib,
};

/** No run may ask for a longer deadline; a leftover folder older than this belongs to nobody. */
export const deadlineMsMax = 3_600_000;
/** Below this the child cannot even start. */
export const dataBytesMin = 384 * mib;
/** DuckDB's `memory_limit` as a part of RLIMIT_DATA; the rest is Node's, and what DuckDB allocates beside its limit. */
export const memoryLimitShare = 0.5;
/** Resident pages that are not data (program text, shared files): what the watchdog allows above `dataBytesMax`. */
export const residentSlackBytes = 256 * mib;
/** V8's old space in the child, in MiB: it holds one batch of rows and one parse tree. */
export const childHeapMib = 192;
/** Open files of the child. */
export const childFilesMax = 512;
/** Spare CPU seconds above deadline x threads, so that RLIMIT_CPU only catches what the deadline did not. */
export const cpuSlackSeconds = 10;

/** SQL text; also bounds the time that quadratic planning (long AND chains) can take. */
export const sqlBytesMax = 64 * 1024;
/** Nodes of the parse tree. */
export const treeNodesMax = 50_000;
/** DuckDB's own bound of nesting (its default is 1000). */
export const expressionDepthMax = 250;

/** Rows that DuckDB computes ahead of the reader, by its own count; about two chunks of 2,048 rows. */
export const streamBufferBytes = 64 * 1024;

export const inputsMax = 256;
export const filesPerRunMax = 10_000;
/** A request frame: SQL and file names. */
export const requestBytesMax = 48 * mib;
/** A frame from the child, where rows do not ask for more. */
export const replyBytesMax = 4 * mib;
/** Rows are sent in frames of about this size. */
export const rowBatchBytes = 256 * 1024;
/** Above the caps for rows, what their frames may weigh (keys, brackets). */
export const frameSlackBytes = 64 * 1024;
/** Kept of the child's standard error, for the log. */
export const stderrBytesMax = 8 * 1024;
/** Columns of an input or a result: what a dataset takes (the contracts' bound, not imported: the child starts without). */
export const columnsMax = 2_000;
/** A column's minimum or maximum is left out of the statistics when its text is longer. */
export const statTextMax = 256;
/** A declared column type's text. */
export const typeTextMax = 1_000;
/** Words of an error, after cleaning. */
export const messageTextMax = 2_000;

/** Outputs of one run. */
export const outputsMax = 64;
/** A Parquet field id: a positive INT32, with room for new columns after it. */
export const fieldIdMax = 1_000_000_000;
/** A Parquet file of an output that is not partitioned is followed by another one when it has about this size. */
export const rollBytes = 256 * mib;
/** Files of one output, and partitions: what a manifest takes. */
export const outputFilesMax = 10_000;
export const partitionsMax = 10_000;
/** A partition key, characters (the contracts' bound, not imported: the child starts without). */
export const partitionKeyCharsMax = 256;
/** Up to about so many keys are written in one pass, more are sorted first: a thread reserves 256 KiB for each. */
export const partitionsDirectMax = 256;
/** A partitioned output that has so many files more than partitions, and a tenth of these, is written again, sorted. */
export const partitionFilesSlack = 16;
/** Partitions are counted this often while they are written. */
export const partitionLookMs = 250;
/** Rows that one thread holds back, over all partitions, before it writes them. */
export const partitionFlushRows = 16_384;
/** Partitions that are open to be written at a time: each holds a writer with its dictionaries. */
export const partitionOpenMax = 32;
/** Rows of a row group: DuckDB's own number, and how few where rows are large. */
export const rowGroupRows = 122_880;
export const rowGroupRowsMin = 2_048;
/** What the rows of one row group may weigh, about: each thread that writes holds one. */
export const rowGroupBytes = 64 * mib;
/** A writer reserves this for the dictionary of each text column; DuckDB's own number would fill RLIMIT_DATA unused. */
export const dictionaryBytes = 1 * mib;
/** Values of one column that `where` of an input may name. */
export const whereValuesMax = 1_000;
/** Footers are read of so many files at once that they have at most so many columns together; and by so many columns. */
export const footerCellsMax = 20_000;
/** DuckDB keeps a reader, with what it reserves, for each file of one statement. */
export const footerFilesAtOnce = 128;
/** Few: a group of many aggregates reserves hundreds of megabytes. */
export const footerColumnsAtOnce = 4;
/** Files are told to the parent in frames of about this size. */
export const fileBatchBytes = 1 * mib;

/** Rows set aside in one run; more, or more than `badShareMax` of at least `badShareRowsMin` rows, and the run fails. */
export const badRowsMax = 1_000_000;
export const badShareMax = 0.5;
export const badShareRowsMin = 1_000;
/** Kept of a row that is set aside, and of the reason, characters. */
export const badRowTextMax = 10_000;
export const badReasonTextMax = 1_000;
/** A line of CSV or JSON Lines where rows are set aside; a longer one is a bad row. */
export const textLineBytesMax = 2_000_000;
/** The first bytes of a text source, from which the weight of its rows is told. */
export const rowSampleBytes = 256 * 1024;

/** Text sources up to this size have their types inferred from every row, larger ones from a sample. */
export const inferWholeBytesMax = 256 * mib;
/** Levels of objects and lists in a JSON file; DuckDB's reader dies of some tens of thousands. */
export const jsonDepthMax = 256;
/** Rows by which a CSV file's dialect is told to the caller. */
export const dialectSampleRows = 2_048;
/** The first line of a CSV file, as far as its fields are counted. */
export const csvHeaderBytesMax = 1 * mib;
/** A GeoJSON file is one JSON object, which DuckDB reads in one piece. */
export const geojsonBytesMax = 128 * mib;
/** Up to this size a malformed JSON file is parsed once more to name the line. */
export const locateBytesMax = 16 * mib;

/** Watchdog and output size are looked at this often. */
export const watchEveryMs = 20;
/** Counting the output's bytes takes at most one part in so many of the time. */
export const outputLookShare = 10;
/** Progress is reported this often. */
export const progressEveryMs = 250;
/** A prewarmed child that nobody used for this long is retired; the next run prewarms again. */
export const idleMsDefault = 300_000;
/** Children at work at once; further runs wait. */
export const concurrencyMaxDefault = 4;
/** A child is kept ready again this long after a run at the latest, milliseconds; sooner after a shorter one. */
export const prewarmWaitMsMax = 1_000;
/** Keys are counted in so many rows first, and in all of them where these have more than a few. */
export const partitionLookRows = 100_000;
export const partitionLookKeysMax = 64;
