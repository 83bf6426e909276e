/** Emptying the prefix of an attempt: listed, looked up among what commits name, deleted; and uploads in parts given up. */
import { TraceError } from "@trace/contracts";
import type { Database, Log, ObjectStore } from "@trace/kit";
import { garbagePagesMax } from "../limits.ts";
import { namedObjects, waitingObjects } from "../sql/statements.gen.ts";

export interface Emptied {
  readonly objects: number;
  readonly bytes: number;
}

export interface PlaceOptions {
  readonly db: Database;
  readonly store: ObjectStore;
  readonly datasetsBucket: string;
  readonly log: Log;
}

/** Deletes what is under a prefix that no commit names anything of. `named`: one does, and nothing from there on was deleted. */
export async function emptyPlace(
  options: PlaceOptions,
  place: { readonly prefix: string },
): Promise<Emptied & { readonly named?: string }> {
  const { db, store, datasetsBucket: bucket } = options;
  let objects = 0;
  let bytes = 0;
  await abortUploads(options, place.prefix);
  for (let pages = 0; pages < garbagePagesMax; pages += 1) {
    const page = await store.list({ bucket, prefix: place.prefix });
    const keys = page.objects.map(({ key }) => key);
    if (keys.length === 0) return { objects, bytes };
    const [named] = await db.query(namedObjects, { object_keys: keys });
    if (named !== undefined) return { objects, bytes, named: named.object_key };
    await store.deleteMany(bucket, keys);
    objects += keys.length;
    bytes += page.objects.reduce((sum, object) => sum + object.bytes, 0);
    if (!page.more) return { objects, bytes };
  }
  throw new Error(`${place.prefix} holds more than ${garbagePagesMax} pages of objects; the next pass goes on`);
}

/**
 * Of places whose last published file has gone, what else the attempt left there: its manifest. As long as one object under the
 * prefix is named by a commit or waits to be deleted, everything stays.
 */
export async function sweepLeftovers(options: PlaceOptions, keys: readonly string[]): Promise<void> {
  const { db, store, datasetsBucket: bucket } = options;
  const gone = new Set(keys);
  const prefixes = new Set(keys.flatMap((key) => prefixOf(key) ?? []));
  for (const prefix of prefixes) {
    const page = await store.list({ bucket, prefix });
    // A place with more than a page still has files; the last of them comes by here, too.
    if (page.more || page.objects.length === 0) continue;
    const left = page.objects.map(({ key }) => key).filter((key) => !gone.has(key));
    if (left.length === 0) continue;
    if ((await db.query(namedObjects, { object_keys: left })).length > 0) continue;
    if ((await db.query(waitingObjects, { object_keys: left })).length > 0) continue;
    await store.deleteMany(bucket, left);
  }
}

/** `d/<storage>/a/<attempt>/` of a key below it. */
function prefixOf(key: string): string | undefined {
  return /^d\/[a-z0-9]+\/a\/[a-z0-9]+\//.exec(key)?.[0];
}

/** Parts of unfinished uploads cost space until the bucket's own rule ends them; a store that refuses leaves it to that rule. */
async function abortUploads({ store, datasetsBucket: bucket, log }: PlaceOptions, prefix: string): Promise<void> {
  for (let pages = 0; pages < garbagePagesMax; pages += 1) {
    try {
      const { uploads, more } = await store.listUploads(bucket, prefix);
      for (const upload of uploads) await store.abortUpload(bucket, upload);
      if (!more) return;
    } catch (error) {
      if (!(error instanceof TraceError) || error.code !== "TR-4008") throw error;
      log.warn({ error, prefix }, "unfinished uploads are left to the bucket's own rule");
      return;
    }
  }
}
