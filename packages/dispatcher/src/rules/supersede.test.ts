import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compareInputs, judgeOutput, type OutputFacts, type ReadInput } from "./supersede.ts";

const at = (...commits: (number | undefined)[]): ReadInput[] =>
  commits.flatMap((commit, dataset_id) => (commit === undefined ? [] : [{ dataset_id, generation: 1, commit }]));

describe("inputs of two attempts", () => {
  test.each([
    { ours: at(3, 4), theirs: at(3, 4), order: "same" },
    { ours: at(4, 4), theirs: at(3, 4), order: "newer" },
    { ours: at(3, 3), theirs: at(3, 4), order: "older" },
    { ours: at(4, 3), theirs: at(3, 4), order: "incomparable" },
    { ours: at(), theirs: at(), order: "same" },
    { ours: at(1, 9), theirs: at(1), order: "same" },
    { ours: at(undefined, 2), theirs: at(9, 3), order: "older" },
  ])("$ours to $theirs: $order", ({ ours, theirs, order }) => {
    expect(compareInputs(ours, theirs)).toBe(order);
  });

  test("a later generation is newer, whatever its commits", () => {
    const old = [{ dataset_id: 1, generation: 1, commit: 900 }];
    const young = [{ dataset_id: 1, generation: 2, commit: 1 }];
    expect(compareInputs(young, old)).toBe("newer");
    expect(compareInputs(old, young)).toBe("older");
  });

  test("to turn the question around turns the answer around, and nothing is newer than itself", () => {
    const inputs = fc.uniqueArray(
      fc.record({ dataset_id: fc.nat(4), generation: fc.integer({ min: 1, max: 2 }), commit: fc.nat(3) }),
      { selector: (input) => input.dataset_id },
    );
    const turned = { newer: "older", older: "newer", same: "same", incomparable: "incomparable" } as const;
    fc.assert(
      fc.property(inputs, inputs, (a, b) => {
        expect(compareInputs(b, a)).toBe(turned[compareInputs(a, b)]);
        expect(compareInputs(a, a)).toBe("same");
      }),
    );
  });
});

const replace: OutputFacts = {
  strategy: "replace",
  claimedHead: 5,
  revertedCommit: 0,
  ours: at(3, 3),
  lasts: [at(3, 3)],
  slice: null,
  sameContent: null,
};
const append: OutputFacts = { ...replace, strategy: "append" };

describe("the verdict on an output", () => {
  test.each<{ what: string; facts: OutputFacts; verdict: string }>([
    { what: "the first commit", facts: { ...replace, lasts: [] }, verdict: "commit" },
    { what: "inputs as before: another version of the code", facts: replace, verdict: "commit" },
    { what: "newer inputs", facts: { ...replace, ours: at(3, 4) }, verdict: "commit" },
    { what: "older inputs", facts: { ...replace, ours: at(3, 2) }, verdict: "superseded" },
    { what: "one newer, one older", facts: { ...replace, ours: at(4, 2) }, verdict: "incomparable" },
    {
      what: "older than one of its partitions",
      facts: { ...replace, lasts: [at(3, 3), at(4, 3)] },
      verdict: "superseded",
    },
    {
      what: "older than one partition, newer than another",
      facts: { ...replace, lasts: [at(4, 3), at(2, 3)] },
      verdict: "incomparable",
    },
    { what: "reverted after the claim", facts: { ...replace, revertedCommit: 6, ours: at(9, 9) }, verdict: "reverted" },
    { what: "reverted before the claim", facts: { ...replace, revertedCommit: 5 }, verdict: "commit" },
    { what: "the same content", facts: { ...replace, sameContent: 4 }, verdict: "unchanged" },
    {
      what: "the same content from newer inputs",
      facts: { ...replace, ours: at(3, 4), sameContent: 4 },
      verdict: "confirmed",
    },
    {
      what: "the same content from older inputs",
      facts: { ...replace, ours: at(1, 1), sameContent: 4 },
      verdict: "superseded",
    },
    { what: "a new slice", facts: { ...append, lasts: [] }, verdict: "commit" },
    { what: "a slice again", facts: { ...append, slice: { revertedCommit: null, fixedAtHead: 2 } }, verdict: "commit" },
    {
      what: "a slice again, from older inputs",
      facts: { ...append, ours: at(2, 3), slice: { revertedCommit: null, fixedAtHead: 2 } },
      verdict: "superseded",
    },
    {
      what: "a slice that was taken back",
      facts: { ...append, slice: { revertedCommit: 6, fixedAtHead: 2 } },
      verdict: "withdrawn",
    },
    {
      what: "a slice taken back and asked for again",
      facts: { ...append, slice: { revertedCommit: 6, fixedAtHead: 6 } },
      verdict: "commit",
    },
    {
      what: "another slice beside one that was taken back",
      facts: { ...append, revertedCommit: 6, lasts: [] },
      verdict: "commit",
    },
  ])("$what: $verdict", ({ facts, verdict }) => {
    expect(judgeOutput(facts)).toBe(verdict);
  });

  test("readers are never moved to older inputs, whatever else is so", () => {
    const commit = fc.nat(3);
    fc.assert(
      fc.property(
        fc.constantFrom("replace", "append"),
        commit,
        commit,
        fc.array(fc.tuple(commit, commit), { maxLength: 4 }),
        fc.nat(8),
        (strategy, a, b, lasts, revertedCommit) => {
          const facts = {
            ...replace,
            strategy,
            ours: at(a, b),
            lasts: lasts.map((last) => at(...last)),
            revertedCommit,
          } as OutputFacts;
          const someNewer = lasts.some(([x, y]) => x > a || y > b);
          if (someNewer) expect(judgeOutput(facts)).not.toBe("commit");
        },
      ),
    );
  });
});
