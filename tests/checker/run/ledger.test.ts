/** What a run knows of its tasks from the answers that pass. */
import { expect, test } from "vitest";
import type { Recorded } from "../record/recorder.ts";
import { tokenOf } from "../testing/scene.ts";
import { Ledger } from "./ledger.ts";
import { datasetDag, plainDag } from "./plan.ts";

function pass(ledger: Ledger, via: Recorded["via"], route: string, body: unknown, answer: unknown, status = 200): void {
  const said = { by: 0, status, contentType: "application/json", retryAfter: undefined, body: JSON.stringify(answer) };
  ledger.read({ via, route, body: JSON.stringify(body), answer: said });
}

/** A plain task and one that writes a dataset, leased as 1 and 2. */
function begun(): Ledger {
  const ledger = new Ledger();
  const items = [
    { dag: plainDag, job: "work" },
    { dag: datasetDag, job: "make_0" },
  ];
  pass(
    ledger,
    "user",
    "POST /v1/tasks",
    { items },
    {
      items: [
        { task_id: "p", created: true },
        { task_id: "d", created: true },
      ],
    },
  );
  const tasks = ["p", "d"].map((task_id, index) => ({ task_id, lease_no: index + 1 }));
  pass(ledger, "worker", "POST /v1/claims", {}, { tasks });
  return ledger;
}

const complete = (ledger: Ledger, no: number, answer: object) =>
  pass(ledger, "worker", "POST /v1/completions", { items: [{ lease_token: tokenOf(no) }] }, { items: [answer] });

test("counts what was created and leased, and tells when a dataset's task is over", () => {
  const ledger = begun();
  const over: string[] = [];
  ledger.onDatasetOver = (job) => over.push(job);
  expect([ledger.created, ledger.leases]).toEqual([{ plain: 1, dataset: 1 }, 2]);
  complete(ledger, 2, { accepted: true, task_state: "queued" });
  complete(ledger, 1, { accepted: true, task_state: "completed" });
  expect([over, ledger.over]).toEqual([[], { plain: 1, dataset: 0 }]);
  pass(ledger, "worker", "POST /v1/claims", {}, { tasks: [{ task_id: "d", lease_no: 3 }] });
  complete(ledger, 3, { accepted: false, error: { code: "TR-3001" } });
  expect(over).toEqual([]);
  complete(ledger, 3, { accepted: true, task_state: "dead" });
  expect([over, ledger.replayable]).toEqual([["make_0"], ["d"]]);
});

test("a refused create counts nothing, one that names another task makes that one known", () => {
  const ledger = new Ledger();
  const items = [{ dag: datasetDag, job: "make_0" }];
  pass(ledger, "user", "POST /v1/tasks", { items }, { code: "TR-1009" }, 503);
  expect(ledger.created).toEqual({ plain: 0, dataset: 0 });
  pass(
    ledger,
    "user",
    "POST /v1/tasks",
    { items },
    { items: [{ task_id: "d", created: false, error: { code: "TR-3011" } }] },
  );
  expect(ledger.created).toEqual({ plain: 0, dataset: 1 });
});

test("what is canceled can be replayed, and is then not over", () => {
  const ledger = begun();
  const answer = { items: [{ task_id: "p", accepted: true }] };
  pass(ledger, "user", "POST /v1/tasks/cancel", { task_ids: ["p"] }, answer);
  expect([ledger.over.plain, ledger.replayable]).toEqual([1, ["p"]]);
  pass(ledger, "user", "POST /v1/tasks/replay", { task_ids: ["p"] }, answer);
  expect(ledger.over.plain).toBe(0);
});
