/** What refuses a commit for its content: nothing of the attempt was published, and its lease is kept. */
import { outputPartitionsMax, TraceError } from "@trace/contracts";
import type { SchemaFault } from "./rules/evolve.ts";

export function refusedSchema(dataset: string, faults: readonly SchemaFault[]): TraceError {
  const shown = faults.slice(0, 5).map(({ column, what }) => `'${column}' ${what}`);
  const more = faults.length > shown.length ? `; and ${faults.length - shown.length} more` : "";
  return new TraceError("TR-4014", {
    detail: `the schema of '${dataset}' would change: ${shown.join("; ")}${more}`,
    where: `output ${dataset}`,
    why: "columns may be added and types may widen by themselves; what would break readers must be asked for",
    fix: `write the columns as they were, or give the output a new 'version' in the DAG file, which begins a new generation of '${dataset}'`,
  });
}

export function movedFieldId(dataset: string, column: string): TraceError {
  return new TraceError("TR-4015", {
    detail: `column '${column}' of the files has another field id than the dataset gives it by now`,
    where: `output ${dataset}`,
    why: "another commit added columns after this attempt was claimed",
    fix: "nothing: the task is tried again by itself with the ids of now",
  });
}

export function unordered(dataset: string): TraceError {
  return new TraceError("TR-4016", {
    detail: `what '${dataset}' holds was made from newer commits of one input and older ones of another`,
    where: `output ${dataset}`,
    why: "neither result is the newer one",
    fix: "nothing: the task is tried again by itself and reads all inputs as they are then",
  });
}

export function notUnchanged(dataset: string): TraceError {
  return new TraceError("TR-4017", {
    detail: `'${dataset}' does not hold what the attempt found unchanged`,
    where: `output ${dataset}`,
    why: "another commit or a revert came between",
    fix: "nothing: the task is tried again by itself and compares with what is there then",
  });
}

export function tooManyPartitions(dataset: string, column: string, partitions: number): TraceError {
  return new TraceError("TR-4018", {
    detail: `the attempt writes ${partitions} partitions of '${dataset}'; at most ${outputPartitionsMax} are taken`,
    where: `output ${dataset}, column ${column}`,
    fix: "partition by a column with fewer values, such as the month in place of the day",
  });
}

export function severalPartitions(dataset: string, column: string, partitions: number): TraceError {
  return new TraceError("TR-4019", {
    detail: `the attempt appends to ${partitions} partitions of '${dataset}' at once`,
    where: `output ${dataset}, column ${column}`,
    why: "a slice is taken back or written again as one, in one partition",
    fix: "use strategy replace with partition_by, or append without it",
  });
}
