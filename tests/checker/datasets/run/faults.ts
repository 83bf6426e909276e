/** Hurts the system while it is written and read: every kind in turn, in an order of chance. */
import type { SeededRandom } from "../../../faults/random.ts";
import type { ChaosStack } from "../../run/stack.ts";
import { backendsAtOnce, faultEveryMs, ttlMs } from "./limits.ts";
import { type Scene, wait } from "./scene.ts";

export const faultKinds = [
  "dispatchers killed",
  "dispatchers stopped past the leases",
  "object store killed",
  "backends of Postgres terminated",
  "Postgres ended and restarted",
] as const;
type Kind = (typeof faultKinds)[number];

const postgresFaults = {
  cutAfterCommit: 0.002,
  cutBeforeCommit: 0.001,
  cutDuringCommit: 0.001,
  cutAfterStatement: 0.0003,
};

export async function hurt(scene: Scene, stack: ChaosStack, random: SeededRandom): Promise<void> {
  const { enough, tally } = scene;
  stack.cutter.set(postgresFaults);
  while (!enough.aborted) {
    for (const kind of random.shuffle(faultKinds)) {
      await wait(scene, faultEveryMs * (0.5 + random.next()));
      if (enough.aborted) break;
      await perform(kind, stack, random);
      tally.add(kind);
    }
  }
  stack.cutter.calm();
}

async function perform(kind: Kind, stack: ChaosStack, random: SeededRandom): Promise<void> {
  const dispatcher = random.integer(0, stack.dispatchers.length - 1);
  if (kind === "dispatchers killed") await stack.killDispatcher(dispatcher);
  else if (kind === "dispatchers stopped past the leases")
    await stack.pauseDispatcher(dispatcher, ttlMs + random.integer(200, 1_500));
  else if (kind === "object store killed") await stack.killEndpoints();
  else if (kind === "backends of Postgres terminated") await stack.terminateBackends(backendsAtOnce);
  else await stack.restartPostgres(random.chance(0.5) ? "SIGKILL" : "SIGQUIT");
}
