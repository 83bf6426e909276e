/** The checker of datasets on histories made by hand: for each rule one that keeps it and one that breaks it. */
import { beforeEach, describe, expect, test } from "vitest";
import { file, Told } from "../testing/told.ts";

let told: Told;
beforeEach(() => {
  told = new Told();
});

describe("what a commit holds", () => {
  test("a replace has its own files, whoever had it before", () => {
    told.commit(1, "plain", [file("a")]);
    told.commit(2, "plain", [file("b"), file("c")]);
    told.read("plain", 1, [file("a")], { version: 1 });
    told.read("plain", 2, [file("c"), file("b")]);
    expect(told.broken()).toEqual([]);
  });

  test.each([
    ["one is missing", [file("b")]],
    ["one is there twice", [file("b"), file("b"), file("c")]],
    ["one of before is still there", [file("a"), file("b"), file("c")]],
    ["one has another checksum", [file("b"), { ...file("c"), sha256: "other" }]],
  ])("it is seen when %s", (_, seen) => {
    told.commit(1, "plain", [file("a")]);
    told.commit(2, "plain", [file("b"), file("c")]);
    told.read("plain", 2, seen);
    expect(told.broken()).toEqual(["contents"]);
  });

  test("partitions stay apart, and one attempt that writes all of them leaves no other", () => {
    told.commit(1, "months", [file("a", "jan"), file("b", "feb")]);
    told.commit(2, "months", [file("c", "feb")]);
    told.read("months", 2, [file("c", "feb")]);
    told.read("months", 1, [file("a", "jan")], { version: 1, partitions: ["jan"] });
    expect(told.broken()).toEqual([]);
    told.read("months", 2, [file("a", "jan"), file("c", "feb")], { version: 2, partitions: ["jan", "feb"] });
    expect(told.broken()).toEqual(["contents"]);
  });

  test("a slice that is written again takes the place of itself alone", () => {
    told.commit(1, "log", [file("a")], { asked: "k" });
    told.commit(2, "log", [file("b")], { asked: "l" });
    told.commit(3, "log", [file("c")], { asked: "k" });
    told.read("log", 3, [file("b"), file("c")]);
    expect(told.broken()).toEqual([]);
    told.read("log", 2, [file("a"), file("b"), file("c")]);
    expect(told.broken()).toContain("contents");
  });

  test("a revert brings back what was there, of all partitions or of some", () => {
    told.commit(1, "months", [file("a", "jan"), file("b", "feb")]);
    told.commit(2, "months", [file("c", "jan"), file("d", "feb")]);
    told.revert("months", 1, ["jan"]);
    told.revert("months", 0);
    told.read("months", 3, [file("a", "jan"), file("d", "feb")], { version: 3 });
    told.read("months", 4, []);
    expect(told.broken()).toEqual([]);
  });

  test("news are what was made after a commit, and not what a revert brought back", () => {
    told.commit(1, "log", [file("a")], { asked: "k" });
    told.commit(2, "log", [file("b")], { asked: "l" });
    told.revert("log", 0);
    told.revert("log", 2);
    told.commit(3, "log", [file("c")], { asked: "m" });
    told.read("log", 5, [file("c")], { version: 5, from: 4 });
    told.read("log", 5, [file("b"), file("c")], { version: 5, from: 1 });
    expect(told.broken()).toEqual([]);
  });

  test("a commit that is read twice is the same, also where nothing is known of it", () => {
    told.read("plain", 1, [file("a")], { version: 1 });
    told.read("plain", 1, [file("b")], { version: 1 });
    expect(told.broken()).toEqual(["contents", "snapshot"]);
  });
});

describe("who made a commit", () => {
  test("an answer that was lost may have committed, and its repeat is told the same", () => {
    told.claim(1);
    told.end(1, { plain: [file("a")] }, { answeredMs: undefined, accepted: false });
    told.row("plain", { lease: 1 });
    told.read("plain", 1, [file("a")]);
    expect(told.broken()).toEqual([]);
  });

  test.each([
    ["nobody was given the lease", (one: Told) => one.row("plain", { lease: 9 }), "owner"],
    [
      "its completion was refused",
      (one: Told) => {
        one.claim(1);
        one.end(1, { plain: [file("a")] }, { accepted: false, code: "TR-3001" });
        one.row("plain", { lease: 1 });
      },
      "owner",
    ],
    [
      "its manifest lies",
      (one: Told) => {
        one.claim(1);
        one.end(1, { plain: [file("a")] }, { accepted: false, answeredMs: undefined, lie: "size" });
        one.row("plain", { lease: 1 });
      },
      "lies",
    ],
    [
      "a completion was accepted and is not there",
      (one: Told) => {
        one.claim(1);
        one.end(1, { plain: [file("a")] }, { published: [{ dataset: "plain", commit: 1, outcome: "committed" }] });
      },
      "owner",
    ],
    [
      "nobody asked for a revert",
      (one: Told) => one.row("plain", { kind: "revert", revertedTo: 0, reason: "x" }),
      "owner",
    ],
    [
      "a revert expected another head",
      (one: Told) => {
        one.commit(1, "plain", [file("a")]);
        one.revert("plain", 0);
        one.reverts[0] = { ...(one.reverts[0] as (typeof one.reverts)[number]), expectedHead: 5 };
      },
      "owner",
    ],
    ["a number is missing", (one: Told) => one.row("plain", { commit: 2 }), "numbers"],
  ] as const)("it is seen when %s", (_, tell, rule) => {
    tell(told);
    expect(told.broken()).toEqual([rule]);
  });

  test("times strictly increase", () => {
    told.commit(1, "plain", [file("a")]);
    const at = told.rows.get("plain")?.[0]?.committedAt;
    told.commit(2, "plain", [file("b")], {}, at === undefined ? {} : { committedAt: at });
    expect(told.broken()).toEqual(["times"]);
  });

  test("the same words again are told the same; other words and other answers are seen", () => {
    const published = [{ dataset: "plain", commit: 1, outcome: "committed" }];
    told.commit(1, "plain", [file("a")]);
    told.end(1, { plain: [file("a")] }, { published });
    expect(told.broken()).toEqual([]);
    told.end(1, { plain: [file("b")] }, { published, words: "others" });
    expect(told.broken()).toEqual(["same_answer"]);
  });

  test("an attempt that somebody else has taken over publishes nothing, unless it did so before", () => {
    told.claim(1, { task: "t" });
    told.end(1, { plain: [file("a")] }, { accepted: false, answeredMs: undefined });
    told.claim(2, { task: "t" });
    told.row("plain", { lease: 1 });
    const published = [{ dataset: "plain", commit: 1, outcome: "committed" }];
    told.end(1, { plain: [file("a")] }, { published });
    expect(told.broken()).toEqual([]);
    told.ends.shift();
    expect(told.broken()).toEqual(["stale"]);
  });
});

describe("what moves a dataset", () => {
  const inputs = (commit: number) => ({ inputs: [{ dataset: "plain", commit, from: undefined }] });

  test("older inputs do not take the place of newer ones, and are told to be superseded", () => {
    told.commit(1, "derived", [file("a")], inputs(2));
    told.claim(2, inputs(1));
    told.end(2, { derived: [file("b")] }, { published: [{ dataset: "derived", commit: 1, outcome: "superseded" }] });
    expect(told.broken()).toEqual([]);
    told.commit(3, "derived", [file("c")], inputs(1));
    expect(told.broken()).toEqual(["moved_back"]);
  });

  test("nothing is superseded without a reason", () => {
    told.commit(1, "derived", [file("a")], inputs(1));
    told.claim(2, inputs(1));
    told.end(2, { derived: [file("b")] }, { published: [{ dataset: "derived", commit: 1, outcome: "superseded" }] });
    expect(told.broken()).toEqual(["superseded"]);
  });

  test("who was claimed before a revert does not overwrite it; who was claimed after it does", () => {
    told.commit(1, "plain", [file("a")]);
    told.commit(2, "plain", [file("b")]);
    told.claim(3);
    told.revert("plain", 1);
    told.commit(4, "plain", [file("d")]);
    expect(told.broken()).toEqual([]);
    told.commit(3, "plain", [file("c")]);
    expect(told.broken()).toEqual(["over_revert"]);
  });

  test("a slice that was taken back stays away until somebody asks for it", () => {
    told.commit(1, "log", [file("a")], { asked: "k", task: "t" });
    told.claim(2, { asked: "k", task: "u" });
    told.revert("log", 0);
    told.commit(3, "log", [file("c")], { asked: "k", task: "v" });
    expect(told.broken()).toEqual([]);
    told.revert("log", 0);
    told.commit(2, "log", [file("b")], { asked: "k", task: "u" });
    expect(told.broken()).toEqual(["withdrawn"]);
    told.replays.push({ task: "u", sentMs: 1, answeredMs: 2 });
    expect(told.broken()).toEqual([]);
  });

  test("a slice has the key of its task, and ranges are read once, without a gap", () => {
    const range = (from: number, commit: number) => ({ inputs: [{ dataset: "plain", commit, from }] });
    told.commit(1, "news", [file("a")], range(0, 3), { appendKey: "0-3" });
    told.commit(2, "news", [file("b")], range(3, 4), { appendKey: "3-4" });
    told.commit(3, "news", [file("c")], range(0, 3), { appendKey: "0-3" });
    expect(told.broken()).toEqual([]);
    told.commit(4, "news", [file("d")], range(2, 6), { appendKey: "2-6" });
    expect(told.broken()).toEqual(["slices"]);
    told.commit(5, "log", [file("e")], { asked: "k" }, { appendKey: "l" });
    expect(told.broken()).toEqual(["append_key", "slices"]);
  });

  test("what is unchanged is what is there, and is not committed again", () => {
    const print = (fingerprint: string, files = [file("a")]) => ({
      contents: new Map([["plain", { files, fingerprint }]]),
    });
    const said = (lease: number, fingerprint: string) => {
      told.claim(lease);
      told.end(
        lease,
        {},
        { ...print(fingerprint, []), published: [{ dataset: "plain", commit: 1, outcome: "unchanged" }] },
      );
    };
    told.claim(1);
    told.row("plain", { lease: 1 });
    told.end(1, {}, { ...print("f"), published: [{ dataset: "plain", commit: 1, outcome: "committed" }] });
    said(2, "f");
    expect(told.broken()).toEqual([]);
    told.claim(3);
    told.row("plain", { lease: 3 });
    told.end(3, {}, { ...print("f"), published: [{ dataset: "plain", commit: 2, outcome: "committed" }] });
    expect(told.broken()).toEqual(["unchanged"]);
  });
});

describe("what readers see", () => {
  test("a moment shows the last commit that is not later", () => {
    told.commit(1, "plain", [file("a")]);
    const moment = told.time();
    told.commit(2, "plain", [file("b")]);
    told.read("plain", 1, [file("a")], { moment });
    expect(told.broken()).toEqual([]);
    told.read("plain", 2, [file("b")], { moment });
    expect(told.broken()).toEqual(["moment"]);
  });

  test("a head is never older than what somebody was told before", () => {
    told.commit(1, "plain", [file("a")]);
    told.commit(2, "plain", [file("b")]);
    told.read("plain", 2, [file("b")]);
    expect(told.broken()).toEqual([]);
    told.read("plain", 1, [file("a")]);
    expect(told.broken()).toEqual(["head"]);
  });

  test("datasets that are committed together are seen together", () => {
    told.claim(1);
    const committedAt = told.time();
    const published = ["one", "two"].map((dataset) => ({ dataset, commit: 1, outcome: "committed" }));
    for (const { dataset } of published) told.row(dataset, { lease: 1, committedAt });
    told.end(1, { one: [file("a")], two: [file("b")] }, { published });
    const both = [{ dataset: "one" }, { dataset: "two" }];
    const seen = (commit: number, name: string) => ({
      commit,
      committedAt: commit === 0 ? null : committedAt,
      list: told.lists.add(commit === 0 ? [] : [file(name)]),
    });
    told.reads.push({ sentMs: 1, answeredMs: 2, asked: both, seen: [seen(1, "a"), seen(1, "b")], code: undefined });
    told.reads.push({ sentMs: 0, answeredMs: 1, asked: both, seen: [seen(0, "a"), seen(0, "b")], code: undefined });
    expect(told.broken()).toEqual([]);
    told.reads.push({ sentMs: 0, answeredMs: 1, asked: both, seen: [seen(1, "a"), seen(0, "b")], code: undefined });
    expect(told.broken()).toEqual(["together"]);
  });

  test("a commit is refused only once it was purged, and never while a pin stands", () => {
    told.commit(1, "plain", [file("a")]);
    told.commit(2, "plain", [file("b")]);
    const purge = () => told.purges.push({ ...told.span(), dataset: "plain", before: 2, code: undefined });
    told.refused("plain", 1, "TR-4021");
    expect(told.broken()).toEqual(["pinned"]);
    told.reads.pop();
    told.pins.push({ ...told.span(), dataset: "plain", commit: 1, expiresMs: undefined, droppedMs: undefined });
    purge();
    told.refused("plain", 1, "TR-4021");
    expect(told.broken()).toEqual(["pinned"]);
    told.pins.pop();
    expect(told.broken()).toEqual([]);
  });
});
