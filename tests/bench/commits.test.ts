/** The benchmark of commits with a handful of them: that it runs through, counts what it says, and that its proof can fail. No time is looked at. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeFile } from "../../bench/commits/file.ts";
import { floorRound } from "../../bench/commits/floor.ts";
import { readOptions } from "../../bench/commits/options.ts";
import { commitsRound, type RoundParts } from "../../bench/commits/rounds.ts";
import { addPartitions, verifyCommits } from "../../bench/commits/state.ts";
import { openPlace, type Place } from "../../bench/harness/place.ts";
import { BenchPostgres } from "../../bench/harness/postgres.ts";

const small = { commits: 24, clients: 4, batch: 1, patienceMs: 0, tell: () => undefined };

let place: Place;
let parts: RoundParts;

beforeAll(async () => {
  place = await openPlace();
  const postgres = await BenchPostgres.start(place.folder);
  parts = { postgres, folder: place.folder, file: JSON.stringify(await makeFile(place.folder.dir)) };
});
afterAll(async () => {
  await parts?.postgres.stop();
  await place?.remove();
});

test("each commit publishes a file and asks the store twice: for the manifest and for the file", async () => {
  const round = await commitsRound(parts, "counted", { ...small, datasets: 3, countRequests: true });
  expect(round).toMatchObject({ commits: 24, requests: { GET: 24, HEAD: 24 } });
  expect(round.callMs).toHaveLength(24);
  expect(round.perSecond).toBeGreaterThan(0);
});

test("many commits go in a request, and into a dataset with partitions that resolve finds", async () => {
  const resolve = { calls: 3, partitions: 10 };
  const round = await commitsRound(parts, "crowded", { ...small, batch: 8, datasets: 1, partitions: 300, resolve });
  expect(round.callMs).toHaveLength(3);
  expect([round.resolveMs?.length, round.linkedMs?.length]).toEqual([3, 3]);
});

test("the proof fails as long as nothing is published, or when there is more than was", async () => {
  const look = async () => {
    const db = parts.postgres.database("early");
    await expect(verifyCommits(db, 24, { commits: 0, partitions: 0 })).rejects.toThrow(
      /"commits":0.*"leased":24,"staged":24/,
    );
    await addPartitions(db, "d01", 10, () => Promise.resolve());
  };
  const round = commitsRound(parts, "early", { ...small, datasets: 2, beforePublishing: look });
  await expect(round).rejects.toThrow("not each made exactly one commit");
});

test("the floor makes as many commits as it is asked for", async () => {
  const round = await floorRound(parts.postgres, "least", { commits: 50, datasets: 3, clients: 4 });
  expect(round).toMatchObject({ commits: 50 });
  expect(round.callMs).toHaveLength(50);
});

test("an option that nobody knows is answered with all of them", () => {
  expect(() => readOptions(["--only", "slow"])).toThrow("there is no measure 'slow'");
  expect(() => readOptions(["--rounds", "0"])).toThrow("--partitions N");
  expect(readOptions([])).toMatchObject({ only: ["spread", "hot", "crowded", "batched", "requests"], json: false });
});
