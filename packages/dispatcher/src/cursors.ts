/** How far jobs have read: cursors move in the transaction that publishes what was read, and only from where the attempt began. */
import { type AttemptResult, TraceError } from "@trace/contracts";
import type { Queryable } from "@trace/kit";
import { type LockLeasesRow, moveCursors, type NewsOfAttemptRow, newsOfAttempt } from "./sql/statements.gen.ts";
import { wholePartition } from "./triggers.ts";

interface Move {
  readonly name: string;
  /** Where it must stand; null: there is none yet. */
  readonly begin: string | null;
  readonly position: string;
}

/**
 * Moves the cursors of what the attempt read, all or none: those it names itself, and those of inputs of which it read the news
 * (`appended`). A slice that is written again (`repeated`) was read before, and its cursors have moved. The caller holds the job's
 * row. Answers "behind" when the news that it read lie wholly behind the job's cursors: another task has read them meanwhile, and
 * nothing was moved. Throws TR-4025 when one stands elsewhere.
 */
export async function moveOn(
  tx: Queryable,
  lease: Pick<LockLeasesRow, "lease_no" | "job_id" | "output_partition" | "dag_version_id">,
  result: AttemptResult,
  read: { readonly repeated: boolean; readonly appended: boolean },
): Promise<"moved" | "behind"> {
  if (result.kind !== "success" || read.repeated) return "moved";
  const partition = lease.output_partition ?? wholePartition;
  const moves = (result.cursors ?? []).map(({ name, from, to }): Move => ({ name, begin: from, position: to }));
  if (read.appended) {
    const news = await tx.query(newsOfAttempt, {
      lease_no: lease.lease_no,
      job_id: lease.job_id,
      output_partition: partition,
      dag_version_id: lease.dag_version_id,
    });
    const passed = ({ commit_no, position }: NewsOfAttemptRow) => position !== null && Number(position) >= commit_no;
    if (news.length > 0 && news.every((one) => passed(one) && one.from_commit < one.commit_no)) return "behind";
    for (const { name, from_commit, commit_no, position } of news) {
      // A cursor that is not there stands at the beginning.
      const begin = position === null && from_commit === 0 ? null : String(from_commit);
      moves.push({ name, begin, position: String(commit_no) });
    }
  }
  if (moves.length === 0) return "moved";
  const [row] = await tx.query(moveCursors, {
    job_id: lease.job_id,
    output_partition: partition,
    moves: JSON.stringify(moves),
  });
  if (row?.moved === moves.length) return "moved";
  throw new TraceError("TR-4025", {
    detail: `a cursor does not stand where the attempt began to read: ${said(moves)}`,
    why: "another task of the job has read on, or one cursor was named twice",
    fix: "nothing: the task is tried again by itself and reads from where the cursor stands then",
  });
}

/** As people see them; names and positions are a program's own. */
function said(moves: readonly Move[]): string {
  const shown = moves
    .slice(0, 3)
    .map(({ name, begin }) => `'${name}' at ${begin === null ? "its beginning" : `'${begin}'`}`);
  return (
    shown.join(", ").slice(0, 500) + (moves.length > shown.length ? `, and ${moves.length - shown.length} more` : "")
  );
}
