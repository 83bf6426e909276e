/** The benchmark of ingest with a hundred rows: both sides do the same work and prove it. No time is looked at. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Child } from "../../bench/harness/child.ts";
import { openPlace, type Place } from "../../bench/harness/place.ts";
import { BenchPostgres } from "../../bench/harness/postgres.ts";
import type { FromEngine, ToEngine } from "../../bench/ingest/messages.ts";
import { readOptions } from "../../bench/ingest/options.ts";
import { OurSide } from "../../bench/ingest/ours.ts";
import { openSource, type Source } from "../../bench/ingest/source.ts";

let place: Place;
let postgres: BenchPostgres;
let engine: Child<ToEngine, FromEngine>;
let source: Source;

beforeAll(async () => {
  place = await openPlace();
  postgres = await BenchPostgres.start(place.folder);
  engine = new Child("engine", join(import.meta.dirname, "..", "..", "bench", "ingest", "engine.ts"), {});
  await engine.next("ready");
  source = await openSource("tiny", engine, 1);
});
afterAll(async () => {
  await engine?.stop();
  await postgres?.stop();
  await place?.remove();
});

test("the engine splits the file by month", async () => {
  const folder = join(place.folder.dir, "engine");
  expect(await engine.ask({ kind: "split", source: source.path, folder }, "split")).toMatchObject({
    rows: 100,
    files: 1,
  });
});

test("a whole stack does so twice, although the file is the same, and each row is counted", async () => {
  const side = await OurSide.start(postgres, place.folder, "ours", source);
  try {
    await side.split();
    await side.rest();
    await side.split();
  } finally {
    await side.stop();
  }
});

test("a side that commits other rows than the file has is found out", async () => {
  const side = await OurSide.start(postgres, place.folder, "lies", { ...source, rows: 99 });
  try {
    await expect(side.split()).rejects.toThrow('"rows":100');
  } finally {
    await side.stop();
  }
});

test("an option that nobody knows is answered with all of them", () => {
  expect(() => readOptions(["--copies", "none"])).toThrow("--copies is 'none'");
  expect(() => readOptions(["--tasks", "1"])).toThrow("npm run bench -- ingest");
});
