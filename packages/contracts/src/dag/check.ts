/**
 * Checks the values of a DAG file against its form, and turns what zod says into problems with a place, a code and
 * words a person understands.
 */
import type { z } from "zod";
import type { ErrorCode } from "../errors/index.ts";
import { namePattern } from "../names.ts";
import type { OperatorName } from "./definition.ts";
import { operatorNames } from "./definition.ts";
import type { Problem } from "./diagnostic.ts";
import { anyJobForm, expectations, fileForm, jobForms, operatorsWith } from "./form.ts";
import { quoted } from "./frame.ts";
import { dagJobsMax } from "./limits.ts";
import type { Path, Place, Range } from "./read.ts";
import { nearest } from "./suggest.ts";

export type Values = Record<string, unknown>;

export function isValues(value: unknown): value is Values {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Collects the problems of one file. */
export class Findings {
  readonly problems: Problem[] = [];
  readonly #place: (path: Path) => Place;
  readonly #text: string;

  constructor(place: (path: Path) => Place, text: string) {
    this.#place = place;
    this.#text = text;
  }

  add(
    code: ErrorCode,
    path: Path,
    target: "key" | "value",
    parts: { message: string; suggestion?: string | undefined; severity?: "warning" },
  ): void {
    this.problems.push({ code, path, range: this.range(path, target), ...parts });
  }

  /** A problem of one word inside a value that may have many lines; `find` tells where the word is in the value as written. */
  addInside(
    code: ErrorCode,
    path: Path,
    find: (written: string) => Range | undefined,
    parts: { message: string; suggestion?: string | undefined },
  ): void {
    const { value } = this.#place(path);
    const inside = find(this.#text.slice(value[0], value[1]));
    const range: Range =
      inside === undefined ? this.range(path, "value") : [value[0] + inside[0], value[0] + inside[1]];
    this.problems.push({ code, path, range, ...parts });
  }

  /** The key stands there with nothing after it, which YAML reads as null. */
  isEmpty(path: Path): boolean {
    const { value } = this.#place(path);
    return value[1] <= value[0];
  }

  /** The key, or the value where it stands in one piece; a whole block is shown by its key. */
  range(path: Path, target: "key" | "value"): Range {
    const place = this.#place(path);
    const empty = place.value[1] <= place.value[0];
    if (place.key !== undefined && (target === "key" || place.nested || empty)) return place.key;
    return place.nested ? [place.value[0], place.value[0] + 1] : place.value;
  }
}

/** The file around the jobs. Answers with the jobs as far as they are a mapping. */
export function checkFile(value: unknown, findings: Findings): Values {
  const result = fileForm.safeParse(value, { reportInput: false });
  if (!result.success) report(result.error.issues, value, [], findings, Object.keys(fileForm.shape));
  const jobs = isValues(value) && isValues(value.jobs) ? value.jobs : {};
  const count = Object.keys(jobs).length;
  if (isValues(value) && isValues(value.jobs) && count === 0) {
    findings.add("TR-2005", ["jobs"], "key", { message: "'jobs' must hold at least one job" });
  }
  if (count > dagJobsMax) {
    const message = `the file holds ${count.toLocaleString("en")} jobs, and ${dagJobsMax.toLocaleString("en")} is the most`;
    findings.add("TR-2016", ["jobs"], "key", { message, suggestion: "split the DAG into several" });
    return {};
  }
  return jobs;
}

/** One job against the form of its operator. True when nothing was found. */
export function checkJob(name: string, value: unknown, findings: Findings): boolean {
  const before = findings.problems.length;
  const path = ["jobs", name];
  if (!namePattern.test(name)) nameProblem(name, path, "key", `the job name ${quoted(name)} is not`, findings);
  if (!isValues(value)) {
    findings.add("TR-2006", path, "value", {
      message: `job ${quoted(name)} must be ${expectations["jobs.*"]}, not ${kindOf(value)}`,
    });
    return false;
  }
  const operator = operatorOf(value);
  const form = operator === undefined ? anyJobForm : jobForms[operator];
  if (operator === undefined) reportOperator(name, value, findings);
  const result = form.safeParse(value);
  if (!result.success) report(result.error.issues, value, path, findings, Object.keys(form.shape), operator);
  return findings.problems.length === before;
}

export function operatorOf(value: Values): OperatorName | undefined {
  return operatorNames.find((name) => name === value.operator);
}

function reportOperator(job: string, value: Values, findings: Findings): void {
  const path = ["jobs", job, "operator"];
  const operator = value.operator;
  const known = operatorNames.join(", ");
  if (operator === undefined) {
    const message = `job ${quoted(job)} has no 'operator'`;
    findings.add("TR-2005", path.slice(0, 2), "key", { message, suggestion: `add 'operator:' with one of ${known}` });
  } else if (typeof operator !== "string") {
    const message = `'operator' must be one of ${known}, not ${kindOf(operator)}`;
    findings.add("TR-2006", path, "value", { message });
  } else {
    const near = nearest(operator, operatorNames);
    const suggestion = near === undefined ? `the operators are ${known}` : `did you mean '${near}'?`;
    findings.add("TR-2003", path, "value", { message: `unknown operator ${quoted(operator)}`, suggestion });
  }
}

type Issue = z.core.$ZodIssue;

function report(
  issues: readonly Issue[],
  root: unknown,
  rootPath: Path,
  findings: Findings,
  rootKeys: readonly string[],
  operator?: OperatorName,
): void {
  for (const issue of issues) {
    const inside = issue.path.map((step) => (typeof step === "symbol" ? String(step) : step));
    const value = inside.reduce<unknown>((at, step) => (at as Values | undefined)?.[step], root);
    const path = [...rootPath, ...inside];
    if (issue.code === "unrecognized_keys") {
      for (const key of issue.keys)
        unknownKey(key, path, findings, inside.length === 0 ? rootKeys : keysAt(path), operator);
    } else if (value === undefined && inside.length > 0) {
      missingKey(path, rootPath, findings, operator);
    } else if (issue.code === "invalid_union") {
      const branch = issue.errors.find(
        (errors) => !errors.some((error) => error.path.length === 0 && error.code === "invalid_type"),
      );
      if (branch === undefined) wrongValue(issue, path, value, findings);
      else report(branch, value, path, findings, keysAt(path), operator);
    } else if (issue.code === "invalid_key") {
      findings.add("TR-2007", path, "key", {
        message: `the column name ${quoted(String(path.at(-1)))} is empty or too long`,
      });
    } else {
      wrongValue(issue, path, value, findings);
    }
  }
}

/** The keys of a mapping inside a job, from the places that the form describes. */
function keysAt(path: Path): string[] {
  const start = `${placeName(path)}.`;
  return Object.keys(expectations)
    .filter((place) => place.startsWith(start) && !place.slice(start.length).includes("."))
    .map((place) => place.slice(start.length));
}

function placeName(path: Path): string {
  return path
    .map((step, index) => {
      const named =
        (index === 1 && path[0] === "jobs") || (index > 2 && /^(columns|where)$/.test(String(path[index - 1])));
      return typeof step === "number" || named ? "*" : step;
    })
    .join(".");
}

function unknownKey(
  key: string,
  path: Path,
  findings: Findings,
  known: readonly string[],
  operator?: OperatorName,
): void {
  const at = [...path, key];
  const others = path.length === 2 ? operatorsWith(key) : [];
  if (others.length > 0 && operator !== undefined) {
    const message = `'${key}' belongs to operator ${others.join(" and ")}, and job ${quoted(String(path[1]))} uses ${operator}`;
    findings.add("TR-2008", at, "key", { message, suggestion: `remove '${key}', or change the operator` });
    return;
  }
  const home = homeOf(key);
  const near = nearest(key, known);
  const suggestion =
    home !== undefined
      ? `'${key}' belongs in ${home}`
      : near !== undefined
        ? `did you mean '${near}'?`
        : `known here: ${known.join(", ")}`;
  findings.add("TR-2004", at, "key", { message: `unknown key ${quoted(key)}`, suggestion });
}

/** The mapping that a key belongs in, for one that was written a level too high or too low. */
function homeOf(key: string): string | undefined {
  if (!/^[a-z_]+$/.test(key)) return undefined;
  const place = Object.keys(expectations).find((known) => known.endsWith(`.${key}`) && !known.endsWith(`*.${key}`));
  const item = Object.keys(expectations).find((known) => known.endsWith(`.*.${key}`));
  const home = (item ?? place)?.slice(0, -key.length - 1);
  if (home === undefined) return undefined;
  if (home === "jobs.*") return "a job";
  const list = /^jobs\.\*\.(inputs|outputs)\.\*$/.exec(home)?.[1];
  return list === undefined ? `'${home.slice(home.lastIndexOf(".") + 1)}'` : `an item of '${list}'`;
}

function missingKey(path: Path, rootPath: Path, findings: Findings, operator?: OperatorName): void {
  const key = String(path.at(-1));
  const expects = expectations[placeName(path)];
  const suggestion = expects === undefined ? undefined : `add '${key}:' with ${expects}`;
  const owner =
    rootPath.length === 0
      ? "the file"
      : path.length === 3
        ? `job ${quoted(String(path[1]))}`
        : quoted(String(path.at(-2)));
  const because = operator !== undefined && path.length === 3 ? `, which operator ${operator} needs` : "";
  findings.add("TR-2005", path.slice(0, -1), "key", { message: `${owner} has no '${key}'${because}`, suggestion });
}

function wrongValue(issue: Issue, path: Path, value: unknown, findings: Findings): void {
  const place = placeName(path);
  const expects = expectations[place] ?? "something else";
  const name = path.length === 0 ? "the file" : `'${labelOf(path)}'`;
  if (issue.code === "invalid_format" && issue.pattern === namePattern.toString()) {
    nameProblem(String(value), path, "value", `${name} must be ${expects}, not ${kindOf(value)};`, findings);
    return;
  }
  if (issue.code === "custom" && issue.message !== "Invalid input") {
    const suggestion = typeof issue.params?.suggestion === "string" ? issue.params.suggestion : undefined;
    findings.add("TR-2007", path, "value", { message: `${name} ${issue.message}`, suggestion });
    return;
  }
  const code = sameType(issue, value) ? "TR-2007" : "TR-2006";
  const suggestion = adviceFor(place, value);
  findings.add(code, path, "value", { message: `${name} must be ${expects}, not ${kindOf(value)}`, suggestion });
}

/** `retries`, or `inputs[0]` for an item of a list. */
function labelOf(path: Path): string {
  const last = path.at(-1);
  return typeof last === "number" ? `${String(path.at(-2))}[${last}]` : quoted(String(last)).slice(1, -1);
}

function sameType(issue: Issue, value: unknown): boolean {
  if (issue.code === "invalid_value") return issue.values.some((known) => typeof known === typeof value);
  // A number with a fraction where a whole one is wanted is a wrong value, not a wrong type.
  if (issue.code === "invalid_type")
    return typeof value === "number" && (issue.expected === "int" || issue.expected === "number");
  return issue.code !== "invalid_union";
}

function adviceFor(place: string, value: unknown): string | undefined {
  if ((place === "jobs.*.inputs" || place === "jobs.*.outputs") && typeof value === "string") {
    return `write ${place.slice("jobs.*.".length)}: [${quoted(value).slice(1, -1)}]`;
  }
  if ((place === "jobs.*.timeout" || place === "jobs.*.duration") && typeof value === "number") {
    return `add the unit, such as ${value}s or ${value}m`;
  }
  if (typeof value === "string") {
    const near = nearest(
      value,
      (expectations[place] ?? "").startsWith("one of ") ? (expectations[place] ?? "").slice(7).split(", ") : [],
    );
    if (near !== undefined) return `did you mean '${near}'?`;
  }
  if (
    typeof value !== "string" &&
    /^(dag|jobs\.\*\.(inputs|outputs)\.\*|jobs\.\*\.partitions\.keys\.\*|.*description)$/.test(place) &&
    !isValues(value)
  ) {
    return "put the value in quotes if it is meant as text";
  }
  return undefined;
}

function nameProblem(name: string, path: Path, target: "key" | "value", start: string, findings: Findings): void {
  const better = name
    .trim()
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "_")
    .replace(/^[_0-9]+|_+$/g, "")
    .slice(0, 128);
  const suggestion = namePattern.test(better) && better !== name ? `did you mean '${better}'?` : undefined;
  const message = start.endsWith(";") ? start.slice(0, -1) : `${start} ${expectations.dag}`;
  findings.add("TR-2009", path, target, { message, suggestion });
}

/** What a value is, in words: `'many'`, `the number 99`, `a list`, `nothing`. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (typeof value === "string")
    return value.length <= 60 ? quoted(value) : `text of ${value.length.toLocaleString("en")} characters`;
  if (typeof value === "number" || typeof value === "bigint") return `the number ${value}`;
  if (typeof value === "boolean") return String(value);
  return Array.isArray(value) ? "a list" : "a mapping";
}
