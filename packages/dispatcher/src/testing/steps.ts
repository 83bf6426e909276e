/** Takes tasks of a world by the name of their job and their partition, and runs them to the end. */
import { type ClaimedTask, TraceError } from "@trace/contracts";
import { expect } from "vitest";
import type { World } from "./world.ts";

const labelOf = (task: ClaimedTask) => `${task.job.name} ${task.partition ?? "-"}`;

export function stepsOf(world: () => World) {
  async function claimAll(): Promise<ClaimedTask[]> {
    await world().makeDue();
    const tasks = await world().claim(await world().session(), 1_000);
    return tasks.sort((a, b) => (labelOf(a) < labelOf(b) ? -1 : 1));
  }

  async function labels(): Promise<string[]> {
    return (await ready()).map((row) => `${row.name} ${row.partition || "-"}`);
  }

  function ready() {
    return world().db.raw<{ name: string; partition: string; public_id: string }>(
      `select j.name, t.output_partition as partition, t.public_id from ready r join tasks t using (task_id) join jobs j using (job_id) order by 1, 2`,
    );
  }

  /** Takes one task of those that are ready. */
  async function take(label: string): Promise<ClaimedTask> {
    const row = (await ready()).find((one) => `${one.name} ${one.partition || "-"}` === label);
    const [task] = await world().claim(await world().session(), 1, [row?.public_id ?? ""]);
    if (task === undefined || labelOf(task) !== label) throw new Error(`${label} is not ready: ${await labels()}`);
    return task;
  }

  async function finish(label: string): Promise<ClaimedTask> {
    const task = await take(label);
    expect(await world().succeed(task)).toMatchObject({ accepted: true });
    return task;
  }

  /** Runs whatever is ready until nothing is; answers with what ran, in order. */
  async function drain(): Promise<string[]> {
    const done: string[] = [];
    for (;;) {
      const tasks = await claimAll();
      if (tasks.length === 0) return done;
      for (const task of tasks) {
        expect(await world().succeed(task)).toMatchObject({ accepted: true });
        done.push(labelOf(task));
      }
    }
  }

  return { claimAll, labels, take, finish, drain };
}

export async function refusalOf(promise: Promise<unknown>): Promise<TraceError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof TraceError)) throw new Error("not refused", { cause: error });
  return error;
}
