/** What people do beside: tasks by hand, reverts, purges, pins, replays. */
import type { SeededRandom } from "../../../faults/random.ts";
import type { Pin } from "../check/facts.ts";
import { ttlMs } from "./limits.ts";
import type { Job } from "./plan.ts";
import { months, regions } from "./plan.ts";
import { resolve, type Scene } from "./scene.ts";
import { codeOf } from "./wire.ts";

export type HeldPin = Pin & { readonly pin: string };

/** A task for every output that has none: those that have one are answered with it. */
export async function makeTasks({ sets, wire, tally }: Scene, random: SeededRandom): Promise<void> {
  const items = sets.flatMap(({ jobs }) =>
    jobs.flatMap((job) => (job.first || random.chance(0.05) ? itemsOf(job, random) : [])),
  );
  const answer = await wire.send({ via: "user", method: "POST", path: "/v1/tasks", body: { items } });
  const made = (answer.body as { items?: readonly { created: boolean }[] } | undefined)?.items ?? [];
  tally.add("tasks made by hand", made.filter(({ created }) => created).length);
}

function itemsOf({ dag, job, keys, partitions }: Job, random: SeededRandom): unknown[] {
  const payload = keys.length === 0 || random.chance(0.1) ? {} : { append_key: random.pick(keys) };
  if (partitions.length === 0) return [{ dag, job, payload }];
  return partitions.map((partition) => ({ dag, job, payload, partition }));
}

/** Queued tasks need not wait for their time, and dead ones get another chance. */
export async function hurryTasks({ facts, wire, tally }: Scene, replay: boolean): Promise<void> {
  const listed = async (state: string) => {
    const { body, status } = await wire.send({
      via: "user",
      method: "GET",
      path: `/v1/tasks?state=${state}&limit=100`,
    });
    return status === 200 ? (body as { tasks: readonly { task_id: string; waiting_for: string | null }[] }).tasks : [];
  };
  const due = (await listed("queued")).filter(({ waiting_for }) => waiting_for === "due").map(({ task_id }) => task_id);
  if (due.length > 0)
    await wire.send({ via: "user", method: "POST", path: "/v1/tasks/retry", body: { task_ids: due } });
  if (!replay) return;
  const dead = (await listed("dead")).map(({ task_id }) => task_id).slice(0, 10);
  if (dead.length === 0) return;
  const { sentMs, answeredMs, body } = await wire.send({
    via: "user",
    method: "POST",
    path: "/v1/tasks/replay",
    body: { task_ids: dead },
  });
  facts.replays.push(...dead.map((task) => ({ task, sentMs, answeredMs })));
  const items = (body as { items?: readonly { accepted: boolean }[] } | undefined)?.items ?? [];
  tally.add("replays", items.filter(({ accepted }) => accepted).length);
}

export async function revert(scene: Scene, random: SeededRandom): Promise<void> {
  const { facts, tally, wire } = scene;
  const dataset = random.pick(scene.datasets);
  const [seen] = (await resolve(scene, [{ dataset }])) ?? [];
  if (seen === undefined || seen.commit === 0) return;
  const wrong = random.chance(0.12);
  const to = random.chance(0.05) ? 0 : random.integer(Math.max(0, seen.commit - 8), seen.commit);
  const expectedHead = wrong ? seen.commit + random.pick([-1, 1, 3]) : seen.commit;
  const keys = dataset.startsWith("region") ? regions : dataset.startsWith("month") ? months : undefined;
  const partitions =
    keys !== undefined && random.chance(0.5) ? random.shuffle(keys).slice(0, random.integer(1, 3)) : undefined;
  const reason = `revert ${facts.reverts.length}`;
  const body = { to, expected_head: expectedHead, reason, ...(partitions === undefined ? {} : { partitions }) };
  const cut = random.chance(0.1) ? { cutMs: random.integer(1, 30) } : {};
  // Whoever hears nothing asks again, with the same words.
  for (let tries = 0; tries < 3; tries += 1) {
    const answer = await wire.send({
      via: "user",
      method: "POST",
      path: `/v1/datasets/${dataset}/revert`,
      body,
      ...(tries === 0 ? cut : {}),
    });
    const { sentMs, answeredMs } = answer;
    const code = codeOf(answer);
    const commit = code === undefined ? (answer.body as { commit?: number } | undefined)?.commit : undefined;
    facts.reverts.push({ sentMs, answeredMs, dataset, to, expectedHead, partitions, reason, commit, code });
    if (answeredMs === undefined) continue;
    tally.add(code === undefined ? "reverts" : `reverts refused (${code})`);
    return;
  }
}

export async function purge(scene: Scene, dataset: string, before: number): Promise<boolean> {
  const { facts, tally, wire } = scene;
  const answer = await wire.send({
    via: "user",
    method: "POST",
    path: `/v1/datasets/${dataset}/purge`,
    body: { before },
  });
  const { sentMs, answeredMs } = answer;
  const code = codeOf(answer);
  facts.purges.push({ sentMs, answeredMs, dataset, before, code: answeredMs === undefined ? undefined : code });
  if (answeredMs === undefined) return false;
  tally.add(code === undefined ? "purges" : `purges refused (${code})`);
  if (code !== undefined) return false;
  const { commits, files, kept } = answer.body as { commits: number; files: number; kept: number };
  tally.add("commits purged", commits);
  tally.add("files of purged commits", files);
  if (kept > 0) tally.add("purges that left what is held");
  return true;
}

export async function purgeSome(scene: Scene, random: SeededRandom): Promise<void> {
  const dataset = random.pick(scene.datasets);
  const head = scene.facts.heads.get(dataset) ?? 0;
  if (head < 2) return;
  await purge(scene, dataset, random.chance(0.1) ? head + 1 : random.integer(Math.max(1, head - 25), head));
}

export async function createPin(
  scene: Scene,
  dataset: string,
  commit: number,
  random: SeededRandom,
): Promise<HeldPin | undefined> {
  const { facts, tally, wire } = scene;
  const lives = random.chance(0.5) ? random.integer(500, 3 * ttlMs) : undefined;
  const atMs = performance.now();
  const expires = lives === undefined ? {} : { expires_at: new Date(Date.now() + lives).toISOString() };
  const answer = await wire.send({
    via: "user",
    method: "POST",
    path: "/v1/pins",
    body: { dataset, commit, holder: "reader", ...expires },
  });
  const { sentMs, answeredMs } = answer;
  const expiresMs = lives === undefined ? undefined : atMs + lives;
  const made = { sentMs, answeredMs, dataset, commit, expiresMs, droppedMs: undefined };
  // It may stand, and nobody can take it away.
  if (answeredMs === undefined) facts.pins.push({ ...made, pin: "" });
  if (answeredMs === undefined || codeOf(answer) !== undefined) {
    tally.add("pins refused");
    return undefined;
  }
  tally.add("pins");
  const pin: HeldPin = { ...made, pin: (answer.body as { pin_id: string }).pin_id };
  facts.pins.push(pin);
  return pin;
}

export async function dropPin({ wire }: Scene, pin: HeldPin): Promise<void> {
  pin.droppedMs = performance.now();
  await wire.send({ via: "user", method: "DELETE", path: `/v1/pins/${pin.pin}` });
}
