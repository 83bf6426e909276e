/** Rules of what a job reads: filters, and reading only what is new. */

import { type Findings, isValues, type Values } from "./check.ts";
import type { OperatorName } from "./definition.ts";
import { quoted } from "./frame.ts";
import type { Path } from "./read.ts";
import { listOf } from "./rules.ts";

export function checkInputs(name: string, job: Values, operator: OperatorName | undefined, findings: Findings): void {
  listOf(job.inputs).forEach((input, index) => {
    if (!isValues(input)) return;
    const path = ["jobs", name, "inputs", index];
    if (operator === "noop") checkReadsNothing(name, input, path, findings);
    if (input.read === "new") checkReadsNew(name, job, [...path, "read"], findings);
    if (isValues(input.where)) checkWhere(input.where, [...path, "where"], findings);
  });
}

function checkReadsNothing(name: string, input: Values, path: Path, findings: Findings): void {
  for (const key of ["where", "read"].filter((part) => input[part] !== undefined)) {
    const message = `'${key}' narrows what a job reads, and job ${quoted(name)} reads nothing: operator noop only waits`;
    findings.add("TR-2008", [...path, key], "key", { message, suggestion: `remove '${key}', or change the operator` });
  }
}

/** What was read before stays only where the job adds to it. */
function checkReadsNew(name: string, job: Values, path: Path, findings: Findings): void {
  for (const key of ["partitions", "execution"].filter((part) => job[part] !== undefined && job[part] !== "whole")) {
    const message = `'read: new' and '${key}' cannot stand together: what is new is counted for a dataset as a whole`;
    findings.add("TR-2027", path, "value", { message, suggestion: `remove one of them` });
  }
  listOf(job.outputs).forEach((output, index) => {
    if (output === undefined || (isValues(output) && output.strategy === "append")) return;
    const dataset = isValues(output) ? output.dataset : output;
    if (typeof dataset !== "string") return;
    const message = `'read: new' needs an output that is added to, and job ${quoted(name)} replaces ${quoted(dataset)}`;
    const suggestion = `write { dataset: ${quoted(dataset).slice(1, -1)}, strategy: append } under 'outputs', or remove 'read: new'`;
    findings.add("TR-2030", index === 0 ? path : ["jobs", name, "outputs", index], "value", { message, suggestion });
  });
}

function checkWhere(where: Values, path: Path, findings: Findings): void {
  for (const [column, wanted] of Object.entries(where)) {
    const at = [...path, column];
    if (wanted === null && findings.isEmpty(at)) {
      const message = `'where' names ${quoted(column)} and no value`;
      const suggestion = "write the value, or null for rows that have none";
      findings.add("TR-2007", at, "key", { message, suggestion });
      continue;
    }
    const seen = new Set<unknown>();
    (Array.isArray(wanted) ? wanted : [wanted]).forEach((value: unknown, index) => {
      const place = Array.isArray(wanted) ? [...at, index] : at;
      if (seen.has(value)) {
        const message = `the value is listed twice for ${quoted(column)}`;
        findings.add("TR-2025", place, "value", { message, suggestion: "remove one of them" });
      }
      seen.add(value);
      if (column === "partition" && (typeof value === "number" || typeof value === "boolean" || value === null)) {
        const message = "'partition' is compared with the key of a partition, which is text";
        findings.add("TR-2006", place, "value", { message, suggestion: "put the value in quotes" });
      }
    });
  }
}
