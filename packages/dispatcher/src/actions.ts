/**
 * What people do to tasks: cancel, retry, replay. A task moves between tables while one looks for it, so each action looks where
 * it is, acts under the locks of that place, and looks again for those that had moved meanwhile, a bounded number of times.
 */
import { type ErrorCode, type TaskActionAnswer, type TaskState, TraceError, toErrorRecord } from "@trace/contracts";
import { type Database, noRace, type Queryable, type RacePoints, type Random } from "@trace/kit";
import { admit, end, endingOf, follow } from "./endings.ts";
import type { Events } from "./events.ts";
import { actionRoundsMax } from "./limits.ts";
import { liveOutputs, outputBusy, outputKey } from "./outputs.ts";
import { type TaskEvent, transitionOf } from "./rules/machine.ts";
import {
  addAudit,
  cancelQueued,
  hurryTasks,
  lockJobs,
  lockLeasesOfTasks,
  type PlacesOfTasksRow,
  placesOfTasks,
  replayTasks,
} from "./sql/statements.gen.ts";
import { afterEnd, lockTriggered } from "./triggers.ts";
import { type WakeupRow, wakeupRows } from "./wakeups.ts";

type Action = "cancel" | "retry" | "replay";

export interface Caller {
  readonly orgId: number;
  readonly name: string;
}

export interface ActionsOptions {
  readonly db: Database;
  readonly random: Random;
  readonly outgoing: Events;
  readonly race?: RacePoints;
  /** Tasks became ready: these wake-ups were written to the outbox. */
  onReady(wakeups: readonly WakeupRow[]): void;
  onCanceled(tasks: number): void;
}

/** What one round did: the tasks it moved, and why it did not move others. */
interface Round {
  readonly moved: ReadonlySet<number>;
  readonly refused: ReadonlyMap<number, TraceError>;
  readonly wakeups: readonly WakeupRow[];
}

type Step = (tx: Queryable, rows: readonly PlacesOfTasksRow[]) => Promise<Round>;

const nothing: Round = { moved: new Set(), refused: new Map(), wakeups: [] };

export class Actions {
  readonly #options: ActionsOptions;
  readonly #race: RacePoints;

  constructor(options: ActionsOptions) {
    this.#options = options;
    this.#race = options.race ?? noRace;
  }

  /** Queued tasks end; running ones lose their lease at once, and their worker hears of it with its next beat. */
  async cancel(caller: Caller, taskIds: readonly string[]): Promise<TaskActionAnswer[]> {
    const { answers, moved } = await this.#act(caller, "cancel", taskIds, (tx, rows) => this.#cancel(tx, rows));
    if (moved > 0) this.#options.onCanceled(moved);
    return answers;
  }

  /** Queued tasks that wait for their time are due now. */
  async retry(caller: Caller, taskIds: readonly string[]): Promise<TaskActionAnswer[]> {
    return (await this.#act(caller, "retry", taskIds, (tx, rows) => this.#hurry(tx, rows))).answers;
  }

  /** Dead and canceled tasks are queued again. */
  async replay(caller: Caller, taskIds: readonly string[]): Promise<TaskActionAnswer[]> {
    return (await this.#act(caller, "replay", taskIds, (tx, rows) => this.#replay(tx, rows))).answers;
  }

  /** `moved`: tasks that this call moved. What was canceled before, or named twice, is accepted and not counted. */
  async #act(
    caller: Caller,
    action: Action,
    taskIds: readonly string[],
    step: Step,
  ): Promise<{ answers: TaskActionAnswer[]; moved: number }> {
    const { db } = this.#options;
    let moved = 0;
    const answers = new Map<string, TaskActionAnswer>();
    let left = [...new Set(taskIds)];
    for (let round = 0; round < actionRoundsMax && left.length > 0; round += 1) {
      const places = await db.query(placesOfTasks, { org_id: caller.orgId, public_ids: left });
      const byId = new Map(places.map((row) => [row.public_id, row]));
      const act: PlacesOfTasksRow[] = [];
      for (const id of left) {
        const answer = answerWithout(id, byId.get(id), action);
        if (answer !== undefined) answers.set(id, answer);
        else act.push(byId.get(id) as PlacesOfTasksRow);
      }
      const paused = this.#race.reach(`${action}:looked`);
      if (paused) await paused;
      const done = await this.#round(caller, action, act, step);
      moved += done.moved.size;
      for (const row of act) {
        const error = done.refused.get(row.task_id);
        if (error !== undefined) answers.set(row.public_id, refusedAs(row.public_id, row, error));
        else if (done.moved.has(row.task_id)) answers.set(row.public_id, acceptedAs(row.public_id, row, action));
      }
      left = left.filter((id) => !answers.has(id));
    }
    return { answers: taskIds.map((id) => answers.get(id) ?? restless(id)), moved };
  }

  async #round(caller: Caller, action: Action, rows: readonly PlacesOfTasksRow[], step: Step): Promise<Round> {
    const known = rows.filter((row) => row.place !== "moving");
    if (known.length === 0) return nothing;
    const round = await this.#options.db.transaction(async (tx) => {
      const done = await step(tx, known);
      const ids = known.filter((row) => done.moved.has(row.task_id)).map((row) => row.public_id);
      if (ids.length > 0) {
        await tx.query(addAudit, { org_id: caller.orgId, actor: caller.name, action: `task.${action}`, task_ids: ids });
      }
      return done;
    });
    if (round.wakeups.length > 0) this.#options.onReady(round.wakeups);
    return round;
  }

  /** Locks as a completion does: leases, then jobs, then whatever is queued. */
  async #cancel(tx: Queryable, rows: readonly PlacesOfTasksRow[]): Promise<Round> {
    const { outgoing } = this.#options;
    const error = canceled();
    const leases = await tx.query(lockLeasesOfTasks, { task_ids: idsAt(rows, "running") });
    const endings = leases.map((lease) =>
      endingOf(lease, { kind: "cancel" }, this.#options.random, { error: toErrorRecord(error) }),
    );
    const tracked = rows.filter((row) => row.output_partition !== null).map((row) => row.job_id);
    const limited = [...new Set(rows.filter((row) => row.limited).map((row) => row.job_id))];
    const locked = tracked.length + limited.length === 0 ? [] : await lockTriggered(tx, [...tracked, ...limited], []);
    const wakeups = [...(await end(tx, endings, outgoing))];
    const queued = await tx.query(cancelQueued, {
      task_ids: [...idsAt(rows, "ready"), ...idsAt(rows, "waiting")],
      error: JSON.stringify(toErrorRecord(error)),
    });
    const rowOf = new Map(rows.map((row) => [row.task_id, row]));
    await outgoing.write(
      tx,
      queued.flatMap(({ task_id, attempt }) => {
        const row = rowOf.get(task_id);
        if (row === undefined) return [];
        const { org_id, job_id, public_id } = row;
        return [{ type: "task.canceled" as const, org_id, job_id, task_id: public_id, attempt }];
      }),
    );
    wakeups.push(...(await follow(tx, endings, locked)));
    if (queued.length > 0) {
      const ended = queued.flatMap(({ task_id }) => {
        const row = rowOf.get(task_id);
        if (row === undefined || row.output_partition === null) return [];
        return [{ job_id: row.job_id, output_partition: row.output_partition, lease_no: null, dag_version_id: null }];
      });
      if (tracked.length > 0) wakeups.push(...(await afterEnd(tx, locked, ended)));
      if (limited.length > 0) wakeups.push(...(await admit(tx, limited)));
    }
    const moved = new Set([...leases, ...queued].map((row) => row.task_id));
    return { moved, refused: new Map(), wakeups };
  }

  async #hurry(tx: Queryable, rows: readonly PlacesOfTasksRow[]): Promise<Round> {
    const limited = [...new Set(rows.filter((row) => row.limited).map((row) => row.job_id))];
    if (limited.length > 0) await tx.query(lockJobs, { job_ids: limited });
    const [row] = await tx.query(hurryTasks, { task_ids: rows.map((one) => one.task_id) });
    const admitted = limited.length === 0 ? [] : await admit(tx, limited);
    return {
      moved: new Set(row?.task_ids),
      refused: new Map(),
      wakeups: [...wakeupRows(row?.wakeups ?? []), ...admitted],
    };
  }

  async #replay(tx: Queryable, rows: readonly PlacesOfTasksRow[]): Promise<Round> {
    const held = rows.filter((row) => row.output_partition !== null || row.limited);
    const jobIds = [...new Set(held.map((row) => row.job_id))];
    const outputs = held.flatMap(({ job_id, output_partition }) =>
      output_partition === null ? [] : [{ job_id, output_partition }],
    );
    if (jobIds.length > 0) await tx.query(lockJobs, { job_ids: jobIds });
    const live = await liveOutputs(tx, outputs);
    const refused = new Map<number, TraceError>();
    const free = rows.filter((row) => {
      if (row.output_partition === null) return true;
      const key = outputKey(row.job_id, row.output_partition);
      const holder = live.get(key);
      live.set(key, holder ?? row.public_id);
      if (holder !== undefined) refused.set(row.task_id, outputBusy(`task ${row.public_id}`, holder));
      return holder === undefined;
    });
    const [row] = await tx.query(replayTasks, { task_ids: free.map((one) => one.task_id) });
    const limited = free.filter((one) => one.limited).map((one) => one.job_id);
    const admitted = limited.length === 0 ? [] : await admit(tx, [...new Set(limited)]);
    return { moved: new Set(row?.task_ids), refused, wakeups: [...wakeupRows(row?.wakeups ?? []), ...admitted] };
  }
}

function idsAt(rows: readonly PlacesOfTasksRow[], place: string): number[] {
  return rows.filter((row) => row.place === place).map((row) => row.task_id);
}

function stateAt(place: string): TaskState | undefined {
  if (place === "ready" || place === "waiting") return "queued";
  return place === "moving" ? undefined : (place as TaskState);
}

/** The answer when nothing has to be done: there is no such task, or its state refuses the action or has it already. */
function answerWithout(id: string, row: PlacesOfTasksRow | undefined, action: Action): TaskActionAnswer | undefined {
  if (row === undefined) {
    const fix = "'trace task list' shows the tasks there are";
    return refusedAs(id, row, new TraceError("TR-1006", { detail: `there is no task ${id}`, fix }));
  }
  const state = stateAt(row.place);
  if (state === undefined) return undefined;
  const next = transitionOf(state, action);
  if ("refused" in next) return refusedAs(id, row, refusal(id, state, action, next.refused));
  // Canceled already, running already.
  return next.task === state && state !== "queued" ? { task_id: id, accepted: true, state } : undefined;
}

function acceptedAs(id: string, row: PlacesOfTasksRow, action: Action): TaskActionAnswer {
  const event: TaskEvent = action;
  const next = transitionOf(stateAt(row.place) ?? "queued", event);
  return { task_id: id, accepted: true, ...("refused" in next ? {} : { state: next.task }) };
}

function refusedAs(id: string, row: PlacesOfTasksRow | undefined, error: TraceError): TaskActionAnswer {
  const state = row === undefined ? undefined : stateAt(row.place);
  return { task_id: id, accepted: false, ...(state === undefined ? {} : { state }), error: toErrorRecord(error) };
}

function refusal(id: string, state: TaskState, action: Action, code: ErrorCode): TraceError {
  const verb = { cancel: "be canceled", retry: "be run earlier", replay: "be replayed" }[action];
  const fix =
    state === "completed"
      ? "its result stands; run its DAG again for a new one: 'trace run DAG'"
      : code === "TR-3015"
        ? `'trace task retry ${id}' runs it at once, 'trace task cancel ${id}' ends it`
        : `'trace task replay ${id}' runs it again`;
  return new TraceError(code, { detail: `task ${id} is ${state} and cannot ${verb}`, fix });
}

function restless(id: string): TaskActionAnswer {
  const error = new TraceError("TR-1008", {
    detail: `task ${id} moved each time it was looked for`,
    why: `it changed its state ${actionRoundsMax} times within this call`,
    fix: "call again",
  });
  return { task_id: id, accepted: false, error: toErrorRecord(error) };
}

function canceled(): TraceError {
  return new TraceError("TR-3016", {
    detail: "the task was canceled",
    fix: "nothing has to be done; 'trace task replay' runs it after all",
  });
}
