/** DAG files: their form, their checks, and the definition they become. */
export * from "./definition.ts";
export type { Diagnostic } from "./diagnostic.ts";
export { diagnosticSchema, renderDiagnostics } from "./diagnostic.ts";
export { dagJsonSchema } from "./form.ts";
export { jobOrder } from "./graph.ts";
export * from "./limits.ts";
export type { DagParseResult } from "./parse.ts";
export { parseDag } from "./parse.ts";
