/** What is in the store when garbage was collected, against what commits that can be read need: all of it and nothing else. */
import { createHash } from "node:crypto";
import { visible } from "./model.ts";
import type { Verdict } from "./verdict.ts";
import type { World } from "./world.ts";

export interface StoredObjects {
  list(): Promise<readonly string[]>;
  /** Undefined: there is none. */
  get(key: string): Promise<Uint8Array | undefined>;
}

export interface StoredBy {
  readonly lease: number;
  readonly dataset: string;
}

/** `storedBy` says who stored an object, for people to find out why it is left. */
export async function checkObjects(
  world: World,
  objects: StoredObjects,
  storedBy: ReadonlyMap<string, StoredBy>,
  verdict: Verdict,
): Promise<void> {
  const needed = new Map<string, { sha256: string; where: string }>();
  for (const { name, steps } of world.told.values()) {
    for (const { row, state } of steps) {
      if (row.purged) continue;
      verdict.count("commits that can be read at the end");
      const where = `'${name}' at commit ${row.commit}`;
      for (const { key, sha256 } of visible(state, undefined, undefined)) needed.set(key, { sha256, where });
    }
  }
  const places = new Set([...needed.keys()].map(placeOf));
  const there = new Set(await objects.list());
  verdict.count("objects at the end", there.size);
  verdict.count("objects that commits need at the end", needed.size);
  for (const key of there) {
    if (needed.has(key) || places.has(placeOf(key))) continue;
    const by = storedBy.get(key);
    const why = "no commit that can be read has anything of its place";
    verdict.add("garbage", key, `lease ${by?.lease} stored it for '${by?.dataset}'`, why);
  }
  for (const [key, { sha256, where }] of needed) {
    const bytes = there.has(key) ? await objects.get(key) : undefined;
    if (bytes === undefined) verdict.add("needed", where, `${key} is not in the store`, "the commit can be read");
    else if (createHash("sha256").update(bytes).digest("hex") !== sha256)
      verdict.add("needed", where, `${key} is in the store`, "its checksum is another");
  }
}

/** The folder of an attempt: its manifest lies beside its files. */
function placeOf(key: string): string {
  return key.slice(0, key.lastIndexOf("/") + 1);
}
