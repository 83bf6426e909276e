/**
 * What a dataset holds at each of its commits, derived from accepted completions and reverts alone. Pure: commits in, states out.
 */
import type { Content, Row, Shape, StagedFile } from "./facts.ts";

export interface ModelFile extends StagedFile {
  /** The lease that wrote it, and the commit that published it first. */
  readonly lease: number;
  readonly made: number;
  readonly appendKey: string | undefined;
}

/** Files by partition; a partition without a file is not there. */
export type State = ReadonlyMap<string, readonly ModelFile[]>;

export const nothing: State = new Map();

/** A slice that was taken back, and by which commit. */
export type Withdrawn = ReadonlyMap<string, number>;

export interface Step {
  readonly row: Row;
  readonly state: State;
  /** Partitions that the commit writes or changes. */
  readonly touched: ReadonlySet<string>;
  /** Slices that stay away, by partition and key. */
  readonly withdrawn: Withdrawn;
}

export function sliceOf(partition: string, appendKey: string): string {
  return `${partition}\n${appendKey}`;
}

export function filesOf(state: State): ModelFile[] {
  return [...state.values()].flat();
}

/** Applies one commit. `content`: what its attempt staged; `before` are all steps so far, commit 1 first. */
export function apply(
  shape: Shape,
  row: Row,
  before: readonly Step[],
  content: { readonly content: Content; readonly partition: string } | undefined,
  reverted: readonly string[] | undefined,
): Step {
  const last = before.at(-1);
  const state = last?.state ?? nothing;
  const withdrawn = last?.withdrawn ?? new Map<string, number>();
  if (row.kind === "revert") return revert(row, before, state, withdrawn, reverted);
  const lease = row.lease ?? 0;
  const files = (content?.content.files ?? []).map((file) => ({
    ...file,
    lease,
    made: row.commit,
    appendKey: row.appendKey,
  }));
  const own = content?.partition ?? "";
  if (row.kind === "append") {
    const partition = files[0]?.partition ?? own;
    const kept = (state.get(partition) ?? []).filter((file) => file.appendKey !== row.appendKey);
    const left = new Map(withdrawn);
    left.delete(sliceOf(partition, row.appendKey ?? ""));
    return { row, state: put(state, partition, [...kept, ...files]), touched: new Set([partition]), withdrawn: left };
  }
  if (!shape.whole) return { row, state: put(state, own, files), touched: new Set([own]), withdrawn };
  const next = new Map<string, ModelFile[]>();
  for (const file of files) next.set(file.partition, [...(next.get(file.partition) ?? []), file]);
  return { row, state: next, touched: new Set([...state.keys(), ...next.keys()]), withdrawn };
}

function put(state: State, partition: string, files: readonly ModelFile[]): State {
  const next = new Map(state);
  if (files.length === 0) next.delete(partition);
  else next.set(partition, files);
  return next;
}

function revert(
  row: Row,
  before: readonly Step[],
  state: State,
  withdrawn: Withdrawn,
  asked: readonly string[] | undefined,
): Step {
  const then = before[(row.revertedTo ?? 0) - 1]?.state ?? nothing;
  let next = state;
  const touched = new Set<string>();
  const left = new Map(withdrawn);
  for (const partition of new Set(asked ?? [...state.keys(), ...then.keys()])) {
    const now = state.get(partition) ?? [];
    const back = then.get(partition) ?? [];
    const keys = (files: readonly ModelFile[]) => new Set(files.map((file) => file.key));
    const [have, want] = [keys(now), keys(back)];
    if (have.size === want.size && [...have].every((key) => want.has(key))) continue;
    touched.add(partition);
    next = put(next, partition, back);
    const wanted = new Set(back.map((file) => file.appendKey));
    for (const file of back) if (file.appendKey !== undefined) left.delete(sliceOf(partition, file.appendKey));
    for (const { appendKey } of now)
      if (appendKey !== undefined && !wanted.has(appendKey)) left.set(sliceOf(partition, appendKey), row.commit);
  }
  return { row, state: next, touched, withdrawn: left };
}

/** What readers of some partitions see; `from`: only what was made after that commit. */
export function visible(
  state: State,
  partitions: readonly string[] | undefined,
  from: number | undefined,
): ModelFile[] {
  const files =
    partitions === undefined ? filesOf(state) : [...new Set(partitions)].flatMap((key) => state.get(key) ?? []);
  return from === undefined ? files : files.filter((file) => file.made > from);
}
