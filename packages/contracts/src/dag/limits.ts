/** The bounds of a DAG file and of what it may ask for. Each is refused with a code, never cut silently. */

/** YAML tokens of one file: about 50,000 lines. Bounds the time a hostile file can take to parse. */
export const dagTokensMax = 250_000;
/** Directives (`%...`) and tokens that belong nowhere, in one file. A DAG file needs none. */
export const dagStrayTokensMax = 200;
/** Values of one file once its aliases are followed: what makes an alias bomb harmless. */
export const dagNodesMax = 100_000;
export const dagAliasesMax = 1_000;
/** Levels of nesting; a correct file needs six. */
export const dagDepthMax = 16;
/** Problems reported of one file; a last one says that there are more. */
export const dagDiagnosticsMax = 200;
/** Cycles reported of one file. */
export const dagCyclesMax = 50;
/** Jobs named in the message of one cycle; a longer cycle is shortened in the middle. */
export const dagCycleJobsShownMax = 20;
/** Distinct unmatched inputs compared with the outputs of the file, to find misspelt ones. */
export const dagNearNamesCheckedMax = 500;

export const dagJobsMax = 1_000;
export const dagDescriptionCharsMax = 2_000;
export const jobInputsMax = 100;
export const jobOutputsMax = 100;
export const jobRetriesMax = 20;
export const jobRetriesDefault = 2;
export const jobConcurrencyMax = 10_000;
export const jobTimeoutMsMin = 1_000;
export const jobTimeoutMsMax = 86_400_000;
export const jobTimeoutMsDefault = 600_000;
export const noopDurationMsMax = 86_400_000;
export const sqlCharsMax = 100_000;
export const sourcePathCharsMax = 1_024;
export const sourceUrlCharsMax = 2_048;
export const sourceColumnsMax = 1_000;
export const columnNameCharsMax = 255;
export const columnTypeCharsMax = 128;
export const csvNullTextCharsMax = 100;
/** Lines before the header that a CSV file may hold. */
export const csvSkipLinesMax = 1_000_000;
/** Partitions that a job names itself, by keys or by a range. */
export const jobPartitionsMax = 10_000;
/** Names in the `where` of one input, and values of one name. */
export const inputWhereNamesMax = 20;
export const inputWhereValuesMax = 1_000;
export const inputWhereTextCharsMax = 1_024;
/** Versions of an output: each is a generation of its dataset. */
export const outputVersionMax = 1_000_000;
