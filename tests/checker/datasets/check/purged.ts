/** Which commits were given up: those that somebody purged and nobody held, and at the end all of these. */
import type { Pin, Purge } from "./facts.ts";
import type { Verdict } from "./verdict.ts";
import { answeredBy, never, type World } from "./world.ts";

/** Two clocks of one machine, read one after the other, milliseconds. */
const slackMs = 100;

/** Nothing may be live any more, so that pins alone hold commits. */
export function checkPurged(world: World, verdict: Verdict): void {
  const { pins, purges } = world.history;
  for (const { name, steps } of world.told.values()) {
    const mine = purges.filter(({ code, dataset }) => dataset === name && code === undefined);
    const last = mine.filter(({ answeredMs }) => answeredMs !== undefined).sort((a, b) => b.sentMs - a.sentMs)[0];
    for (const { row } of steps) {
      const held = pins.filter(({ commit, dataset }) => dataset === name && commit === row.commit);
      const above = mine.filter(({ before }) => before > row.commit);
      const what = `commit ${row.commit} ${row.purged ? "was purged" : "can be read"}`;
      if (row.purged && above.length === 0) verdict.add("pinned", name, what, "nobody purged it");
      else if (row.purged && above.every((purge) => held.some((pin) => covers(pin, purge))))
        verdict.add("pinned", name, what, "it was pinned whenever somebody purged");
      else if (
        !row.purged &&
        last !== undefined &&
        last.before > row.commit &&
        held.every((pin) => !mayCover(pin, last))
      )
        verdict.add("pinned", name, what, "it was purged, and nobody held it");
    }
  }
}

/** The pin stood for as long as the purge can have taken. */
function covers(pin: Pin, purge: Purge): boolean {
  const endMs = answeredBy(purge);
  return (
    answeredBy(pin) < purge.sentMs && (pin.droppedMs ?? never) >= endMs && (pin.expiresMs ?? never) - slackMs >= endMs
  );
}

function mayCover(pin: Pin, purge: Purge): boolean {
  const endMs = Math.min(pin.droppedMs ?? never, pin.expiresMs ?? never);
  return endMs + slackMs > purge.sentMs || pin.droppedMs !== undefined;
}
