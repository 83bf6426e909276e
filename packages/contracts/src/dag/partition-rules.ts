/** Rules of a job's partitions, and of the parameters that only a task of one partition has values for. */

import { type Findings, isValues, type Values } from "./check.ts";
import { quoted } from "./frame.ts";
import { partitionParameters, sqlParameters } from "./parameters.ts";
import type { PartitionInterval } from "./partitions.ts";
import { partitionIntervals, rangeFault } from "./partitions.ts";
import type { Path, Range } from "./read.ts";
import { listOf } from "./rules.ts";
import { nearest } from "./suggest.ts";

export function checkPartitions(name: string, job: Values, findings: Findings): void {
  const { partitions } = job;
  const path = ["jobs", name, "partitions"];
  if (partitions !== undefined && job.execution === "per_partition") {
    const message =
      "'partitions' and 'execution: per_partition' cannot stand together: one names the keys here, the other takes those of the inputs";
    findings.add("TR-2027", ["jobs", name, "execution"], "value", { message, suggestion: "remove one of them" });
  }
  if (!isValues(partitions)) return;
  const told = ["range", "keys"].filter((key) => partitions[key] !== undefined);
  if (told.length !== 1) {
    const has = told.length === 0 ? "neither 'range' nor 'keys'" : "both 'range' and 'keys'";
    const suggestion =
      told.length === 0 ? "add 'keys: [...]' or 'range: { from: ..., to: ..., every: ... }'" : "remove one of them";
    findings.add("TR-2031", told.length === 0 ? path : [...path, "keys"], "key", {
      message: `'partitions' has ${has}`,
      suggestion,
    });
  }
  if (isValues(partitions.range)) checkRange(partitions.range, [...path, "range"], findings);
  const seen = new Set<unknown>();
  listOf(partitions.keys).forEach((key, index) => {
    if (seen.has(key)) {
      const message = `${quoted(String(key))} is listed twice`;
      findings.add("TR-2025", [...path, "keys", index], "value", { message, suggestion: "remove one of them" });
    }
    seen.add(key);
  });
}

function checkRange(range: Values, path: Path, findings: Findings): void {
  const parts = rangeOf(range);
  if (parts === undefined) return;
  const fault = rangeFault(parts);
  if (fault === undefined) return;
  findings.add("TR-2031", [...path, fault.key], "value", {
    message: `'${fault.key}' ${fault.message}`,
    suggestion: fault.suggestion,
  });
}

/** The parts of a range as far as each is of its type; of others, the form has said what is to be said. */
export function rangeOf(range: Values): { from: string; to: string; every: PartitionInterval } | undefined {
  const every = partitionIntervals.find((interval) => interval === range.every);
  const [from, to] = [range.from, range.to].map((bound) =>
    typeof bound === "string" || (typeof bound === "number" && bound >= 1_000) ? String(bound) : undefined,
  );
  return every === undefined || from === undefined || to === undefined ? undefined : { from, to, every };
}

/** Every `$name` of a job's SQL must have a value when a task of it runs. */
export function checkParameters(name: string, job: Values, findings: Findings): void {
  const path = ["jobs", name];
  const texts: [unknown, Path][] = [[job.sql, [...path, "sql"]]];
  listOf(job.outputs).forEach((output, index) => {
    if (isValues(output)) texts.push([output.sql, [...path, "outputs", index, "sql"]]);
  });
  for (const [sql, at] of texts) {
    if (typeof sql !== "string") continue;
    for (const parameter of new Set(sqlParameters(sql).map((found) => found.name))) {
      const fault = parameterFault(parameter, job);
      if (fault !== undefined) findings.addInside("TR-2032", at, (written) => placeOf(written, parameter), fault);
    }
  }
}

function parameterFault(name: string, job: Values): { message: string; suggestion: string } | undefined {
  const known = partitionParameters.find((parameter) => parameter === name);
  if (known === undefined) {
    const near = nearest(name, partitionParameters);
    const names = partitionParameters.map((parameter) => `$${parameter}`).join(", ");
    const suggestion = near === undefined ? `known here: ${names}` : `did you mean '$${near}'?`;
    return { message: `the parameter '$${name}' has no value`, suggestion };
  }
  const perPartition = job.execution === "per_partition";
  if (job.partitions === undefined && !perPartition) {
    const suggestion = "add 'partitions:' to the job, or write the value itself";
    return { message: `'$${name}' has a value only in a job of partitions`, suggestion };
  }
  if (known === "partition") return undefined;
  const ofTime = isValues(job.partitions) ? job.partitions.keys === undefined : !perPartition;
  if (ofTime) return undefined;
  const message = `'$${name}' has a value only where 'partitions' is a range of time`;
  return { message, suggestion: "use $partition, which is the key itself" };
}

/** Where a parameter stands in a value as the file has it. */
function placeOf(written: string, name: string): Range | undefined {
  // A block of lines is SQL as it stands; inside quotes of YAML the quotes of SQL may be written in another way.
  const block = /^[|>]/.test(written);
  const inBlock = block ? sqlParameters(written.replace(/^[|>]/, " ")).find((found) => found.name === name) : undefined;
  if (inBlock !== undefined) return [inBlock.start, inBlock.end];
  for (let at = written.indexOf(`$${name}`); at !== -1; at = written.indexOf(`$${name}`, at + 1)) {
    const end = at + name.length + 1;
    if (!/[A-Za-z0-9_]/.test(written[end] ?? "")) return [at, end];
  }
  return undefined;
}
