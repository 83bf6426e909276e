/** Histories made by hand: each call is told with what came of it, and times go on by themselves. */
import { check } from "../check/check.ts";
import type {
  Claim,
  End,
  History,
  Input,
  Pin,
  Purge,
  Read,
  Replay,
  Revert,
  Row,
  Shape,
  StagedFile,
} from "../check/facts.ts";
import { Lists } from "../check/lists.ts";
import { type Rule, Verdict } from "../check/verdict.ts";

const replace: Shape = { strategy: "replace", whole: false, news: undefined };
const shapes: readonly (readonly [string, Shape])[] = [
  ["plain", replace],
  ["derived", replace],
  ["log", { strategy: "append", whole: false, news: undefined }],
  ["news", { strategy: "append", whole: false, news: "plain" }],
  ["months", { strategy: "replace", whole: true, news: undefined }],
  ["one", replace],
  ["two", replace],
];

type Partial_<T> = { -readonly [K in keyof T]?: T[K] };

export function file(name: string, partition = ""): StagedFile {
  return { key: name, sha256: `sha of ${name}`, bytes: name.length, rows: 1, partition };
}

export class Told {
  readonly lists = new Lists();
  readonly rows = new Map<string, Row[]>(shapes.map(([name]) => [name, []]));
  readonly claims: Claim[] = [];
  readonly ends: End[] = [];
  readonly reverts: Revert[] = [];
  readonly purges: Purge[] = [];
  readonly pins: Pin[] = [];
  readonly replays: Replay[] = [];
  readonly reads: Read[] = [];
  readonly others: { lease: number; sentMs: number; answeredMs: number; accepted: boolean }[] = [];
  #ms = 0;

  span(): { sentMs: number; answeredMs: number } {
    this.#ms += 10;
    return { sentMs: this.#ms, answeredMs: this.#ms + 5 };
  }

  claim(lease: number, more: Partial_<Claim> & { inputs?: readonly Input[] } = {}): void {
    this.claims.push({
      ...this.span(),
      lease,
      task: `task-${lease}`,
      inputs: [],
      partition: "",
      asked: undefined,
      ...more,
    });
  }

  /** A completion that staged these files, and was answered so. */
  end(lease: number, outputs: Readonly<Record<string, readonly StagedFile[]>>, more: Partial_<End> = {}): void {
    const contents = new Map(Object.entries(outputs).map(([name, files]) => [name, { files, fingerprint: undefined }]));
    const words = `words of ${lease}`;
    this.ends.push({
      ...this.span(),
      lease,
      words,
      contents,
      lie: undefined,
      accepted: true,
      code: undefined,
      published: [],
      ...more,
    });
  }

  row(dataset: string, more: Partial_<Row> = {}): number {
    const rows = this.rows.get(dataset) ?? [];
    const commit = rows.length + 1;
    const strategy = shapes.find(([name]) => name === dataset)?.[1].strategy ?? "replace";
    this.#ms += 10;
    rows.push({
      commit,
      kind: strategy,
      committedAt: this.time(),
      lease: undefined,
      appendKey: undefined,
      revertedTo: undefined,
      reason: undefined,
      purged: false,
      ...more,
    });
    this.rows.set(dataset, rows);
    return commit;
  }

  time(): string {
    return new Date(Date.UTC(2001, 0, 1) + this.#ms).toISOString().replace("Z", "000Z");
  }

  /** Claimed, staged, accepted, committed. */
  commit(
    lease: number,
    dataset: string,
    files: readonly StagedFile[],
    more: Partial_<Claim> = {},
    row: Partial_<Row> = {},
  ): number {
    if (!this.claims.some((claim) => claim.lease === lease)) this.claim(lease, more);
    const appendKey = row.appendKey ?? (dataset === "log" ? (more.asked ?? `task-${lease}`) : undefined);
    const commit = this.row(dataset, { lease, ...row, ...(appendKey === undefined ? {} : { appendKey }) });
    this.end(lease, { [dataset]: files }, { published: [{ dataset, commit, outcome: "committed" }] });
    return commit;
  }

  revert(dataset: string, to: number, partitions?: readonly string[]): number {
    const reason = `because ${this.reverts.length}`;
    const span = this.span();
    const commit = this.row(dataset, { kind: "revert", revertedTo: to, reason });
    this.reverts.push({ ...span, dataset, to, expectedHead: commit - 1, partitions, reason, commit, code: undefined });
    return commit;
  }

  read(
    dataset: string,
    commit: number,
    files: readonly StagedFile[],
    more: Partial_<Read["asked"][number]> = {},
  ): void {
    const committedAt = this.rows.get(dataset)?.[commit - 1]?.committedAt ?? null;
    const seen = [{ commit, committedAt, list: this.lists.add(files) }];
    this.reads.push({ ...this.span(), asked: [{ dataset, ...more }], seen, code: undefined });
  }

  refused(dataset: string, version: number, code: string): void {
    this.reads.push({ ...this.span(), asked: [{ dataset, version }], seen: undefined, code });
  }

  history(): History {
    const { claims, ends, others, pins, purges, reads, replays, reverts, rows } = this;
    return {
      shapes: new Map(shapes),
      together: [["one", "two"]],
      rows,
      claims,
      ends,
      others,
      reverts,
      purges,
      pins,
      replays,
      reads,
    };
  }

  /** The rules that are broken, each once. */
  broken(): Rule[] {
    const verdict = new Verdict();
    check(this.history(), this.lists, verdict);
    return [...new Set(verdict.violations.map(({ rule }) => rule))].sort();
  }
}
