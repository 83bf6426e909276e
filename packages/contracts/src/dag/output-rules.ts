/** Rules of what a job writes: whose SQL makes an output, how it is divided, and where rows set aside go. */

import { type Findings, isValues, type Values } from "./check.ts";
import type { OperatorName } from "./definition.ts";
import { quoted } from "./frame.ts";
import type { Path } from "./read.ts";
import { listOf } from "./rules.ts";

interface Output {
  readonly path: Path;
  readonly name: string;
  readonly values: Values;
}

export function checkOutputs(name: string, job: Values, operator: OperatorName | undefined, findings: Findings): void {
  const list = ["jobs", name, "outputs"];
  const outputs = listOf(job.outputs).map((item, index): Output => {
    const values = isValues(item) ? item : { dataset: item };
    return { path: [...list, index], name: typeof values.dataset === "string" ? values.dataset : "", values };
  });
  outputs.forEach((output, index) => {
    checkSql(output, index, operator, findings);
    if (output.values.partition_by !== undefined) checkPartitionBy(job, output, findings);
  });
  if (operator === "ingest") checkBadRows(name, job, outputs, findings);
  else if (operator === "sql") refuseBadRows(outputs, findings);
}

function checkSql(output: Output, index: number, operator: OperatorName | undefined, findings: Findings): void {
  const { values, path, name } = output;
  if (values.bad_rows === true) {
    for (const key of ["sql", "partition_by"].filter((part) => values[part] !== undefined)) {
      const message = `'bad_rows' and '${key}' cannot stand together: the columns of rows set aside are always the same`;
      findings.add("TR-2027", [...path, key], "key", { message, suggestion: `remove '${key}'` });
    }
    return;
  }
  if (index === 0 && values.sql !== undefined) {
    const message = "the first output has the SQL of its job, and this is another one";
    findings.add("TR-2027", [...path, "sql"], "key", { message, suggestion: "write it as the 'sql' of the job" });
  }
  if (index > 0 && values.sql === undefined && (operator === "sql" || operator === "ingest")) {
    const message = `output ${quoted(name)} has no 'sql', and the SQL of the job makes the first output only`;
    const suggestion =
      operator === "ingest"
        ? "write { dataset: ..., sql: SELECT ... }, or 'bad_rows: true' if it is to receive rows set aside"
        : "write { dataset: ..., sql: SELECT ... }";
    findings.add("TR-2028", path, "value", { message, suggestion });
  }
}

function checkPartitionBy(job: Values, output: Output, findings: Findings): void {
  for (const key of ["partitions", "execution"].filter((part) => job[part] !== undefined && job[part] !== "whole")) {
    const message = `'partition_by' and '${key}' cannot stand together: with '${key}' each task writes the partition of its own key`;
    findings.add("TR-2027", [...output.path, "partition_by"], "key", { message, suggestion: "remove one of them" });
  }
}

function refuseBadRows(outputs: readonly Output[], findings: Findings): void {
  for (const { values, path } of outputs.filter(({ values }) => values.bad_rows === true)) {
    if (values.bad_rows !== true) continue;
    const message = "'bad_rows' receives rows that a source could not give, and operator sql has no source";
    findings.add("TR-2029", [...path, "bad_rows"], "key", { message, suggestion: "remove the output" });
  }
}

function checkBadRows(name: string, job: Values, outputs: readonly Output[], findings: Findings): void {
  const receiving = outputs.filter(({ values }) => values.bad_rows === true);
  const asks = job.on_bad_row === "set_aside";
  if (asks && receiving.length === 0) {
    const message = `job ${quoted(name)} sets bad rows aside, and none of its outputs receives them`;
    const suggestion = "add { dataset: name_of_a_dataset, bad_rows: true } under 'outputs'";
    findings.add("TR-2029", ["jobs", name, "on_bad_row"], "value", { message, suggestion });
  }
  receiving.forEach(({ path, values }, index) => {
    const at = [...path, "bad_rows"];
    if (!asks) {
      const message = `this output receives bad rows, and job ${quoted(name)} fails at the first of them`;
      findings.add("TR-2029", at, "key", { message, suggestion: "add 'on_bad_row: set_aside' to the job" });
    } else if (index > 0) {
      const message = `job ${quoted(name)} has an output for bad rows already`;
      findings.add("TR-2029", at, "key", { message, suggestion: "keep one of them" });
    }
    if (outputs[0]?.path === path) {
      const message = "the first output is what the job makes, and this one receives bad rows";
      findings.add("TR-2029", at, "key", { message, suggestion: "put the output that the job makes before it" });
      return;
    }
    // Rows set aside belong to what was read with them: kept longer or shorter, they would tell of another load.
    const first = strategyOf(outputs[0]?.values);
    if (values.strategy !== undefined && first !== undefined && values.strategy !== first) {
      const message = `bad rows are kept as the rows beside them, and the first output has the strategy '${first}'`;
      const suggestion = "remove 'strategy' here: it is that of the first output";
      findings.add("TR-2029", [...path, "strategy"], "value", { message, suggestion });
    }
  });
}

function strategyOf(output: Values | undefined): string | undefined {
  const strategy = output?.strategy ?? "replace";
  return strategy === "replace" || strategy === "append" ? strategy : undefined;
}
