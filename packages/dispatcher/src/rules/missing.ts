/** Which partitions a job should have made and has not. Pure: what is held is asked for elsewhere. */

export interface HeldPartition {
  readonly partition: string;
  /** Something was committed for it. */
  readonly held: boolean;
  /** The task that is making it now. */
  readonly taskId: string | null;
}

export interface MissingPartition {
  readonly partition: string;
  readonly taskId: string | null;
}

/** Of these, those without content; with `only`, of those asked for alone. A partition that is being made is missing until it is there. */
export function missingOf(looked: readonly HeldPartition[], only?: ReadonlySet<string>): MissingPartition[] {
  return looked
    .filter(({ partition, held }) => !held && (only === undefined || only.has(partition)))
    .map(({ partition, taskId }) => ({ partition, taskId }));
}
