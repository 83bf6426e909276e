/** DAG files: their form, their checks, and the definition they become. */
export type { JobChange, KeyChange } from "./compare.ts";
export { changesOf, compareDags } from "./compare.ts";
export type { DagDecodeResult } from "./decode.ts";
export { decodeDag } from "./decode.ts";
export * from "./definition.ts";
export type { Diagnostic } from "./diagnostic.ts";
export { diagnosticSchema, renderDiagnostics } from "./diagnostic.ts";
export { dagJsonSchema, dagKeysTable } from "./form.ts";
export { jobOrder } from "./graph.ts";
export * from "./limits.ts";
export type { DagParseResult } from "./parse.ts";
export { parseDag } from "./parse.ts";
export type { PartitionInterval, PartitionRange, PartitionSpec } from "./partitions.ts";
export { partitionBounds, partitionIntervals, partitionKeys } from "./partitions.ts";
export { nearest } from "./suggest.ts";
export { columnTypePattern, formatOfPath } from "./text.ts";
