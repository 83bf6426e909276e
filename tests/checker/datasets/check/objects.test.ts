/** What garbage collection may leave, and what it must. */
import { createHash } from "node:crypto";
import { beforeEach, expect, test } from "vitest";
import { file, Told } from "../testing/told.ts";
import type { StagedFile } from "./facts.ts";
import { checkObjects } from "./objects.ts";
import { type Rule, Verdict } from "./verdict.ts";
import { World } from "./world.ts";

let told: Told;
let store: Map<string, string>;
beforeEach(() => {
  told = new Told();
  store = new Map();
});

/** A file of an attempt's place, in the store with its manifest. */
function stored(place: string): StagedFile {
  store.set(`${place}/0`, `bytes of ${place}`);
  store.set(`${place}/manifest.json`, "{}");
  const sha256 = createHash("sha256").update(`bytes of ${place}`).digest("hex");
  return { ...file(`${place}/0`), sha256 };
}

async function broken(): Promise<Rule[]> {
  const verdict = new Verdict();
  const objects = {
    list: () => Promise.resolve([...store.keys()]),
    get: (key: string) => Promise.resolve(store.has(key) ? Buffer.from(store.get(key) ?? "") : undefined),
  };
  await checkObjects(new World(told.history(), verdict), objects, new Map(), verdict);
  return verdict.violations.map(({ rule }) => rule);
}

function purge(commit: number): void {
  told.purges.push({ ...told.span(), dataset: "plain", before: commit + 1, code: undefined });
  const rows = told.rows.get("plain") ?? [];
  told.rows.set(
    "plain",
    rows.map((row) => (row.commit === commit ? { ...row, purged: true } : row)),
  );
}

test("files of commits that can be read stay, with what lies beside them", async () => {
  told.commit(1, "plain", [stored("a")]);
  told.commit(2, "plain", [stored("b")]);
  expect(await broken()).toEqual([]);
});

test("what only purged commits have is to go, and what an attempt that published nothing left", async () => {
  told.commit(1, "plain", [stored("a")]);
  told.commit(2, "plain", [stored("b")]);
  purge(1);
  store.set("abandoned/0", "x");
  expect(await broken()).toEqual(["garbage", "garbage", "garbage"]);
});

test("a file that a revert named again is needed, whoever purged the commit that made it", async () => {
  told.commit(1, "plain", [stored("a")]);
  told.commit(2, "plain", [stored("b")]);
  told.revert("plain", 1);
  purge(1);
  expect(await broken()).toEqual([]);
  store.delete("a/0");
  expect(await broken()).toEqual(["needed"]);
});

test("bytes that are others than those that were committed are seen", async () => {
  told.commit(1, "plain", [stored("a")]);
  store.set("a/0", "other bytes");
  expect(await broken()).toEqual(["needed"]);
});
