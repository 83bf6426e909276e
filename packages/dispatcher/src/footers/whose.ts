/** Whose files have their footers read before a commit. */
import type { OperatorName } from "@trace/contracts";

/** `untrusted`: files of jobs whose operator is not ours. `all`: every file. */
export const footerChecks = ["untrusted", "all"] as const;
export type FooterChecks = (typeof footerChecks)[number];

/**
 * Operators whose manifests our own code makes from the footers. Named one by one: an operator that is added runs what others
 * wrote until somebody says here that it does not.
 */
const trusted: ReadonlySet<string> = new Set<OperatorName>(["noop", "ingest", "sql"]);

export function checksFootersOf(operator: string, checks: FooterChecks): boolean {
  return checks === "all" || !trusted.has(operator);
}
