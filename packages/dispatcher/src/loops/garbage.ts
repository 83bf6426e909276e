/**
 * The garbage loop: deletes objects that nobody will ever read. What is garbage is known from rows, never from a listing: places of
 * attempts that ended without publishing, once nobody can write there any more, and files of purged commits, once nobody can be
 * reading them. Whatever is about to be deleted is looked up once more among what commits name. Any number of dispatchers may run it
 * side by side; every step may be repeated.
 */
import { TraceError } from "@trace/contracts";
import { type Database, type Log, Loop, noRace, type ObjectStore, type RacePoints } from "@trace/kit";
import {
  expiredPinsMax,
  garbageEveryMs,
  garbageObjectsMax,
  garbagePlacesMax,
  garbageRetryBaseMs,
  garbageRetryMaxMs,
  garbageRetryMs,
  garbageStagingGraceMs,
} from "../limits.ts";
import {
  dropAbandoned,
  dropExpiredPins,
  dropGarbage,
  dueGarbage,
  namedObjects,
  releaseAbandoned,
  type TakeAbandonedRow,
  takeAbandoned,
} from "../sql/statements.gen.ts";
import { type Emptied, emptyPlace, sweepLeftovers } from "./garbage-places.ts";
import { ScratchRetention } from "./scratch.ts";

export interface GarbageOptions {
  readonly db: Database;
  readonly store: ObjectStore;
  readonly datasetsBucket: string;
  readonly scratchBucket: string;
  readonly log: Log;
  readonly nowMs: () => number;
  readonly race?: RacePoints;
  /** Between the end of writing and the deletion, milliseconds. Shortened by tests, as are the places of one pass. */
  readonly stagingGraceMs?: number;
  readonly placesMax?: number;
  onDeleted(kind: "staging" | "purged" | "scratch", deleted: Emptied): void;
  /** The store cannot be reached, or can again. */
  onPaused(paused: boolean): void;
}

export function createGarbage(options: GarbageOptions): Loop {
  const { db, log, onPaused, onDeleted } = options;
  const scratch = new ScratchRetention(options);
  return new Loop({
    name: "garbage",
    everyMs: garbageEveryMs,
    retryBaseMs: garbageRetryBaseMs,
    retryMaxMs: garbageRetryMaxMs,
    log,
    async pass(signal) {
      await db.query(dropExpiredPins, { limit: expiredPinsMax });
      try {
        const places = await deletePlaces(options, signal);
        const files = await deleteFiles(options, signal);
        const kept = await scratch.pass();
        if (kept.objects > 0) onDeleted("scratch", kept);
        onPaused(false);
        return places || files ? "again" : "idle";
      } catch (error) {
        if (error instanceof TraceError && error.code === "TR-4006") onPaused(true);
        throw error;
      }
    },
  });
}

/** Places where an attempt wrote, or may have, and published nothing. True when there may be more. */
async function deletePlaces(options: GarbageOptions, signal: AbortSignal): Promise<boolean> {
  const { db, log, onDeleted, race = noRace, placesMax = garbagePlacesMax } = options;
  const places = await db.query(takeAbandoned, {
    grace_ms: options.stagingGraceMs ?? garbageStagingGraceMs,
    retry_ms: garbageRetryMs,
    limit: placesMax,
  });
  const taken = race.reach("garbage:taken");
  if (taken) await taken;
  const left = [...places];
  try {
    for (let place = left[0]; place !== undefined && !signal.aborted; place = left[0]) {
      const emptied = await emptyPlace(options, place);
      const deleted = race.reach("garbage:deleted");
      if (deleted) await deleted;
      if (emptied.named === undefined) {
        await db.query(dropAbandoned, { lease_no: place.lease_no, generation_id: place.generation_id });
        if (emptied.objects > 0) onDeleted("staging", emptied);
      } else {
        // A defect somewhere, and no reason to lose what a commit names: the row stays, and is looked at again later.
        log.error({ prefix: place.prefix, named: emptied.named }, "an abandoned place holds an object of a commit");
      }
      left.shift();
    }
  } finally {
    await giveBack(db, left);
  }
  return places.length === placesMax;
}

async function giveBack(db: Database, places: readonly TakeAbandonedRow[]): Promise<void> {
  if (places.length === 0) return;
  await db.query(releaseAbandoned, {
    lease_nos: places.map((place) => place.lease_no),
    generation_ids: places.map((place) => place.generation_id),
  });
}

/** Objects of purged commits. True when there may be more. */
async function deleteFiles(options: GarbageOptions, signal: AbortSignal): Promise<boolean> {
  const { db, store, datasetsBucket, log, onDeleted, race = noRace } = options;
  const due = await db.query(dueGarbage, { limit: garbageObjectsMax });
  if (due.length === 0 || signal.aborted) return false;
  const keys = due.map((row) => row.object_key);
  const named = new Set((await db.query(namedObjects, { object_keys: keys })).map((row) => row.object_key));
  const garbage = keys.filter((key) => !named.has(key));
  if (named.size > 0) log.error({ objects: named.size, first: [...named][0] }, "garbage is named by a commit: kept");
  await store.deleteMany(datasetsBucket, garbage);
  const deleted = race.reach("garbage:deleted");
  if (deleted) await deleted;
  await sweepLeftovers(options, garbage);
  // What a commit names is no garbage: its row goes, its object stays.
  const [dropped] = await db.query(dropGarbage, { object_keys: garbage });
  if (named.size > 0) await db.query(dropGarbage, { object_keys: [...named] });
  if ((dropped?.files ?? 0) > 0) onDeleted("purged", { objects: dropped?.files ?? 0, bytes: dropped?.bytes ?? 0 });
  return due.length === garbageObjectsMax;
}
