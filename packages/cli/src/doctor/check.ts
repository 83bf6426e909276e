/** What a check of the doctor is. Each finds one thing, never throws what it can say, and gives up after `checkMsMax`. */
import { TraceError } from "@trace/contracts";
import type { Clock, Environment } from "@trace/kit";
import type { UserClient } from "../cli.ts";
import { checkMsMax } from "../limits.ts";
import type { Endpoints } from "../state/endpoints.ts";
import type { StateFolderFound } from "../state/folder.ts";

/** `skip`: it could not be looked at, because of what another check found. */
export type CheckStatus = "ok" | "warn" | "fail" | "skip";

export interface Finding {
  readonly status: CheckStatus;
  /** One line: what was found, with numbers. */
  readonly detail: string;
  /** What makes it well; for `warn` and `fail`. */
  readonly fix?: string | undefined;
}

export interface CheckResult extends Finding {
  readonly name: string;
  readonly group: CheckGroup;
}

export type CheckGroup = "machine" | "state" | "services";

export interface Check {
  readonly name: string;
  readonly group: CheckGroup;
  find(signal: AbortSignal): Promise<Finding | readonly NamedFinding[]>;
}

/** A check that looks at several things of a kind names each. */
export interface NamedFinding extends Finding {
  readonly name: string;
}

/** Who holds the state folder. */
export interface HolderSeen {
  readonly pid: number;
  readonly command: string;
  readonly since: string;
}

/** What the checks look at; everything that a test must be able to fake. */
export interface DoctorWorld {
  readonly env: Environment;
  readonly clock: Clock;
  readonly state: StateFolderFound;
  /** Undefined: no stack has written where it answers. */
  readonly endpoints: Endpoints | undefined;
  readonly url: string | undefined;
  readonly holder: HolderSeen | "unknown" | undefined;
  withClient<T>(use: (client: UserClient) => Promise<T>): Promise<T>;
}

export const ok = (detail: string): Finding => ({ status: "ok", detail });
export const warn = (detail: string, fix: string): Finding => ({ status: "warn", detail, fix });
export const fail = (detail: string, fix: string): Finding => ({ status: "fail", detail, fix });
export const skip = (detail: string): Finding => ({ status: "skip", detail });

function failureOf(error: unknown): Finding {
  if (error instanceof TraceError) {
    return fail(`${error.code} ${error.message}`, error.fix ?? `see: trace explain ${error.code}`);
  }
  return fail(
    error instanceof Error ? error.message : String(error),
    "see the log of the service, or run with --debug",
  );
}

/** Runs one check within its time. */
async function runCheck(check: Check): Promise<CheckResult[]> {
  const { name, group } = check;
  const signal = AbortSignal.timeout(checkMsMax);
  const timedOut = new Promise<Finding>((resolve) => {
    const late = fail(
      `no result within ${checkMsMax / 1_000} s`,
      "something it asked hangs: see the logs of the stack",
    );
    signal.addEventListener("abort", () => resolve(late), { once: true });
  });
  const found = await Promise.race([check.find(signal).catch(failureOf), timedOut]);
  const isList = (value: typeof found): value is readonly NamedFinding[] => Array.isArray(value);
  return isList(found) ? found.map((one) => ({ group, ...one })) : [{ name, group, ...found }];
}

/** All at once: they do not depend on each other. Results in the order of the checks. */
export async function runChecks(checks: readonly Check[]): Promise<CheckResult[]> {
  return (await Promise.all(checks.map(runCheck))).flat();
}
