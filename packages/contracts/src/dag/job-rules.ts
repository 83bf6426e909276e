/** Rules inside one job of a DAG file that no single key can break. */

import type { Values } from "./check.ts";
import { type Findings, isValues, operatorOf } from "./check.ts";
import type { OperatorName } from "./definition.ts";
import { quoted } from "./frame.ts";
import { checkInputs } from "./input-rules.ts";
import { checkOutputs } from "./output-rules.ts";
import { checkParameters, checkPartitions } from "./partition-rules.ts";
import type { JobMentions, Mention } from "./rules.ts";
import { listOf } from "./rules.ts";
import { checkSource } from "./source-rules.ts";

/** Rules inside one job that no single key can break. */
export function checkJobRules(mentions: JobMentions, job: Values, findings: Findings): void {
  const operator = operatorOf(job);
  if (operator !== undefined) checkCounts(mentions, job, operator, findings);
  checkListedTwice(mentions.inputs, findings);
  checkListedTwice(mentions.outputs, findings);
  checkInputs(mentions.name, job, operator, findings);
  checkOutputs(mentions.name, job, operator, findings);
  checkPartitions(mentions.name, job, findings);
  checkParameters(mentions.name, job, findings);
  if (operator === "ingest" && isValues(job.source)) checkSource(mentions.name, job.source, findings);
}

const counts: Readonly<
  Record<OperatorName, { inputs: readonly [number, number]; outputs: readonly [number, number] }>
> = {
  noop: { inputs: [0, Number.POSITIVE_INFINITY], outputs: [0, 0] },
  ingest: { inputs: [0, 0], outputs: [1, Number.POSITIVE_INFINITY] },
  sql: { inputs: [1, Number.POSITIVE_INFINITY], outputs: [1, Number.POSITIVE_INFINITY] },
};

function checkCounts(mentions: JobMentions, job: Values, operator: OperatorName, findings: Findings): void {
  for (const key of ["inputs", "outputs"] as const) {
    // Of something that is no list, the form has said what is to be said.
    if (job[key] !== undefined && !Array.isArray(job[key])) continue;
    const count = listOf(job[key]).length;
    const [least, most] = counts[operator][key];
    if (count >= least && count <= most) continue;
    const needs = most === 0 ? `no ${key}` : `at least one ${key.slice(0, -1)}`;
    const has = count === 0 ? "none" : String(count);
    const path = job[key] === undefined ? ["jobs", mentions.name] : ["jobs", mentions.name, key];
    const suggestion = most === 0 ? `remove '${key}'` : `add '${key}: [name_of_a_dataset]'`;
    const message = `operator ${operator} takes ${needs}, and job ${quoted(mentions.name)} has ${has}`;
    findings.add("TR-2024", path, "key", { message, suggestion });
  }
}

function checkListedTwice(mentions: readonly Mention[], findings: Findings): void {
  const seen = new Set<string>();
  for (const { dataset, path } of mentions) {
    if (seen.has(dataset)) {
      const message = `${quoted(dataset)} is listed twice`;
      findings.add("TR-2025", path, "value", { message, suggestion: "remove one of them" });
    }
    seen.add(dataset);
  }
}
