/** Rules of the final state: the database against itself, and against what the callers were told. */
import type { DumpAttempt, DumpCommit, DumpTask } from "../history/dump.ts";
import type { Rule } from "./verdict.ts";
import { type Deed, type Lease, numberOfToken, type Task, type World } from "./world.ts";

/** How each attempt state comes about: by which call its caller may have made, or by none. */
const endedByCall: Readonly<Record<string, "complete" | "release" | undefined>> = {
  succeeded: "complete",
  failed: "complete",
  snoozed: "complete",
  released: "release",
};

/** The code of an attempt that ran past its deadline: a failure of the task, and no lost lease. */
const overdueCode = "TR-3005";

export class FinalCheck {
  readonly #world: World;
  /** By dataset and generation: the number that comes next. */
  readonly #next = new Map<string, number>();
  #unasked = 0;

  constructor(world: World) {
    this.#world = world;
  }

  read(value: unknown): void {
    const fields = value as Partial<DumpTask> & Partial<DumpCommit>;
    if (fields.commit !== undefined) this.#commit(value as DumpCommit);
    else if (fields.task !== undefined) this.#task(value as DumpTask);
    else throw new Error(`a line of the dump is none that is known: ${JSON.stringify(value).slice(0, 200)}`);
  }

  /** What the callers were told of and the database does not have. */
  end(): void {
    const { verdict, tasks, leases, maybeCreated } = this.#world;
    for (const task of tasks.values()) {
      if (task.created === 0 || task.stored) continue;
      const what = `task ${task.id} was created and is not in the database`;
      verdict.add({ rule: "lost_task", what, why: "", task: task.id, lines: [task.created] });
    }
    for (const lease of leases.values()) {
      if (lease.stored === undefined) {
        this.#complain("lost_attempt", lease.task.id, `lease ${lease.no} is not in the database`, "", lease);
      }
      for (const key of lease.commits ?? []) {
        this.#complain("commit_owner", lease.task.id, `commit ${key} is not in the database`, "it was answered", lease);
      }
    }
    if (this.#unasked > maybeCreated) {
      const what = `${this.#unasked} tasks are in the database that no answer named`;
      const why = `${maybeCreated} were in create calls without a certain end`;
      verdict.add({ rule: "unasked_task", what, why, lines: [] });
    }
  }

  #complain(rule: Rule, task: string, what: string, why: string, lease?: Lease): void {
    const lines = lease === undefined ? [] : [lease.line, ...(lease.end === undefined ? [] : [lease.end.line])];
    this.#world.verdict.add({ rule, what: `task ${task}: ${what}`, why, task, lease: lease?.no, lines });
  }

  #task(row: DumpTask): void {
    const task = this.#world.task(row.task);
    task.stored = true;
    if (task.created === 0) this.#unasked += 1;
    this.#place(row);
    for (const attempt of row.attempts) this.#attempt(row, attempt);
    this.#numbers(row);
    this.#counts(row, task);
    this.#state(row, task);
  }

  #place(row: DumpTask): void {
    const { verdict, options } = this.#world;
    const [place = "nowhere", ...others] = row.places;
    if (others.length > 0 || place === "nowhere") {
      this.#complain("place", row.task, `it is in ${row.places.join(" and ") || "no place"}`, "a task is in one place");
      return;
    }
    if (place === "outcome") {
      verdict.count(`tasks ${row.state}`);
      return;
    }
    const waitsMs = row.due_ms ?? 0;
    const explained =
      place === "lease" ? row.lease_live === true : waitsMs < 0 || (place === "waiting" && row.slots_full === true);
    const why =
      place === "lease" ? "running" : waitsMs < 0 ? "until it is due" : place === "waiting" ? "for a slot" : "";
    if (explained) verdict.count(place === "lease" ? "tasks running" : `tasks waiting ${why}`);
    else if (waitsMs > options.stuckAfterMs || place === "lease") {
      const stuck =
        place === "lease" ? "its lease is over and nobody takes it back" : `it could run for ${Math.round(waitsMs)} ms`;
      this.#complain("stuck_task", row.task, `it is in '${place}' and stays there`, stuck);
    } else verdict.count("tasks waiting for a worker");
  }

  #attempt(row: DumpTask, [no, , state, code, , token]: DumpAttempt): void {
    const world = this.#world;
    world.verdict.count(`attempts ${state}`);
    world.verdict.count("attempts");
    if (numberOfToken(token) !== no) {
      this.#complain("lease_numbers", row.task, `the token kept of lease ${no} does not hold its number`, "");
    }
    const lease = world.leases.get(no);
    if (lease === undefined) {
      // Its claim was never answered, so nobody had its token: it expired, or the dispatcher handed it back itself.
      if (state === "released")
        world.verdict.count("attempts handed back by a dispatcher, before anybody heard of them");
      if (endedByCall[state] === undefined || state === "released") return;
      this.#complain("attempt_state", row.task, `lease ${no} is ${state}, and no answer ever handed it out`, "");
      return;
    }
    lease.stored = state;
    if (lease.task.id !== row.task || lease.token !== token) {
      this.#complain("lost_attempt", row.task, `lease ${no} was handed out for task ${lease.task.id}`, "", lease);
    }
    this.#agree(row, lease, state, code);
  }

  /** What its caller was told, or could have been told if the answer had come, is what is stored. */
  #agree(row: DumpTask, lease: Lease, state: string, code: string | null): void {
    const { end, task } = lease;
    if (end !== undefined) {
      const what = `lease ${lease.no} is ${state}, with error ${code}`;
      if (end.attemptState !== state) {
        this.#complain("attempt_state", row.task, what, `its caller was told ${end.attemptState}`, lease);
      } else if (state === "failed" && !end.body.includes(`"code":"${code}"`)) {
        this.#complain("attempt_state", row.task, what, `its caller said ${end.body.slice(0, 200)}`, lease);
      }
      return;
    }
    const kind = endedByCall[state];
    const asked = lease.tries?.some((one) => (one.body === "release" ? "release" : "complete") === kind) === true;
    const canceled = task.cancels !== undefined && task.cancels.length > 0;
    if (kind === undefined ? state !== "canceled" || canceled : asked) return;
    this.#complain("attempt_state", row.task, `lease ${lease.no} is ${state}`, "no call asked for that", lease);
  }

  /** 1, 2, 3, ...: what was handed back unstarted gives its number back. */
  #numbers(row: DumpTask): void {
    let wanted = 1;
    let last = 0;
    for (const [no, attempt, state] of row.attempts) {
      if (attempt !== wanted) {
        const what = `lease ${no} is attempt ${attempt}, and ${wanted} was next`;
        this.#complain("attempt_numbers", row.task, what, "attempts are kept and counted without a gap");
        return;
      }
      if (no <= last) this.#complain("lease_numbers", row.task, `lease ${no} came after lease ${last}`, "");
      last = no;
      if (state !== "released") wanted += 1;
    }
    if (row.attempt !== wanted - 1) {
      const what = `it counts ${row.attempt} attempts, and ${wanted - 1} are kept`;
      this.#complain("counts", row.task, what, "");
    }
  }

  #counts(row: DumpTask, task: Task): void {
    const over = row.places[0] === "outcome";
    const bound = over ? 0 : 1;
    if (row.failures > row.failures_max - bound || row.lease_losses > row.lease_losses_max - bound) {
      const what = `it goes on with ${row.failures} failures and ${row.lease_losses} lost leases`;
      this.#complain("counts", row.task, what, `it may have ${row.failures_max} and ${row.lease_losses_max}`);
    }
    const since = this.#sinceReplay(row, task);
    if (since === undefined) {
      this.#world.verdict.count("tasks whose counts were not compared, as a replay overlaps");
      return;
    }
    const failures = since.filter(
      ([, , state, code]) => state === "failed" || (state === "expired" && code === overdueCode),
    );
    const losses = since.filter(([, , state, code]) => state === "expired" && code !== overdueCode);
    if (row.failures !== failures.length || row.lease_losses !== losses.length) {
      const what = `it counts ${row.failures} failures and ${row.lease_losses} lost leases`;
      const why = `${failures.length} attempts failed and ${losses.length} lost their lease`;
      this.#complain("counts", row.task, what, why);
    }
  }

  /** The attempts after the last replay, which sets the counts to zero; undefined when it is not certain which those are. */
  #sinceReplay(row: DumpTask, task: Task): readonly DumpAttempt[] | undefined {
    if (task.replays === undefined || task.replays.length === 0) return row.attempts;
    const last = task.replays.reduce((latest: Deed, deed) => (deed.start > latest.start ? deed : latest));
    const after: DumpAttempt[] = [];
    for (const attempt of row.attempts) {
      const lease = this.#world.leases.get(attempt[0]);
      if (lease === undefined) return undefined;
      if (lease.claimAt < last.start) continue;
      if (lease.claimStart < last.at) return undefined;
      after.push(attempt);
    }
    return Number.isFinite(last.at) ? after : undefined;
  }

  #state(row: DumpTask, task: Task): void {
    const last = row.attempts.at(-1);
    const succeeded = row.attempts.filter(([, , state]) => state === "succeeded");
    const state = row.state ?? "not over";
    const complain = (what: string, why: string) => this.#complain("task_state", row.task, what, why);
    if (succeeded.length !== (state === "completed" ? 1 : 0) || (state === "completed" && succeeded[0] !== last)) {
      const what = `it is ${state}, and ${succeeded.length} of ${row.attempts.length} attempts succeeded`;
      this.#complain("one_completion", row.task, what, "the last attempt of a completed task, and no other, succeeded");
    }
    if (state === "canceled" && (task.cancels?.length ?? 0) === 0) complain("it is canceled", "nobody canceled it");
    const { ended, replays } = task;
    if (ended !== undefined && ended.state !== state && (ended.state === "completed" || !replays?.length)) {
      complain(`it is ${state}`, `a caller was told that it is ${ended.state}`);
    }
    if (state === "dead") this.#dead(row);
  }

  #dead(row: DumpTask): void {
    const last = row.attempts.at(-1);
    const byBound = row.failures >= row.failures_max || row.lease_losses >= row.lease_losses_max;
    if (!byBound && last?.[2] !== "failed") {
      this.#complain("task_state", row.task, "it is dead", "no bound is reached and its last attempt did not fail");
    }
    const silent = row.attempts.filter(
      ([, , state, code, detail]) => (state === "failed" || state === "expired") && (code === null || !detail),
    );
    if (silent.length > 0 || row.error === null) {
      const what = `${silent.length} of its attempts ended without an error that says why`;
      this.#complain("dead_errors", row.task, what, "who looks at a dead task needs every one");
    }
  }

  #commit(row: DumpCommit): void {
    const { verdict, leases } = this.#world;
    verdict.count("commits");
    const sequence = `${row.dataset}/${row.generation}`;
    const wanted = this.#next.get(sequence) ?? 1;
    if (row.commit !== wanted) {
      const what = `commit ${row.commit} of ${sequence} follows commit ${wanted - 1}`;
      verdict.add({ rule: "commit_numbers", what, why: "", task: row.task, lease: row.lease, lines: [] });
    }
    this.#next.set(sequence, row.commit + 1);
    const key = `${sequence}/${row.commit}`;
    const lease = leases.get(row.lease);
    const told = lease?.commits?.delete(key) === true;
    // An answer that did not come may have told of it.
    const mayHaveTold = lease?.end === undefined && lease?.tries?.some((one) => one.outputs > 0) === true;
    if (lease !== undefined && lease.task.id === row.task && lease.stored === "succeeded" && (told || mayHaveTold))
      return;
    const what = `commit ${key} says it is of lease ${row.lease}, which is ${lease?.stored ?? "unknown"}`;
    this.#complain("commit_owner", row.task, what, "no accepted completion was told of it", lease);
  }
}
