/** Task ids as people type them: whole, or their last characters, which are random (the first ones are a time). */
import { pageRowsMax, TraceError } from "@trace/contracts";
import type { UserClient } from "../cli.ts";
import { shortIdCharsMin, shortIdPagesMax } from "../limits.ts";

/** Characters shown where the whole id does not fit: the last group of the UUID, 48 random bits. */
const shownChars = 12;

export function shortTaskId(taskId: string): string {
  return taskId.slice(-shownChars);
}

const whole = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const ending = new RegExp(`^[0-9a-f]{${shortIdCharsMin},12}$`, "i");

function wrongId(text: string, why: string, fix: string): TraceError {
  return new TraceError("TR-7001", { detail: `'${text.slice(0, 60)}' names no single task`, why, fix });
}

/** The whole id. Looks for a shortened one among the newest tasks. Throws TR-7001. */
export async function findTaskId(client: UserClient, text: string): Promise<string> {
  if (whole.test(text)) return text.toLowerCase();
  const list = "copy it from 'trace task list'";
  if (!ending.test(text)) {
    throw wrongId(text, `a task id is a UUID, or at least ${shortIdCharsMin} of its last characters`, list);
  }
  const found = new Set<string>();
  let cursor: string | undefined;
  for (let page = 0; page < shortIdPagesMax; page++) {
    const { tasks, next } = await client.listTasks({ query: { limit: pageRowsMax, cursor } });
    for (const task of tasks) if (task.task_id.endsWith(text.toLowerCase())) found.add(task.task_id);
    if (next === null) break;
    cursor = next;
  }
  const [only] = found;
  if (found.size === 1 && only !== undefined) return only;
  if (found.size === 0) throw wrongId(text, "none of the newest tasks ends with it", `use the whole id: ${list}`);
  throw wrongId(text, `${found.size} of the newest tasks end with it`, `use more of its characters: ${list}`);
}
