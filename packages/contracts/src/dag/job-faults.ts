/**
 * The rules between the keys of one job, for a definition that arrives as JSON. A file is judged by `job-rules.ts`, which
 * knows places and advice; both come to the same, and a test compares them.
 */

interface Job {
  readonly name: string;
  readonly operator: string;
  readonly inputs: readonly { readonly dataset: string; readonly read: "all" | "new" }[];
  readonly outputs: readonly Output[];
  readonly partitions?: unknown;
  readonly execution: "whole" | "per_partition";
  readonly config: object;
}

interface Output {
  readonly dataset: string;
  readonly strategy: string;
  readonly partition_by?: string | undefined;
  readonly sql?: string | undefined;
  readonly bad_rows?: boolean | undefined;
}

/** What is wrong with a job, one sentence each; empty when nothing is. */
export function jobFaults(job: Job): string[] {
  const faults: string[] = [];
  const refuse = (broken: boolean, words: string): void => {
    if (broken) faults.push(`job '${job.name}' ${words}`);
  };
  const perPartition = job.execution === "per_partition";
  const divided = job.partitions !== undefined || perPartition;
  const readsNew = job.inputs.some((input) => input.read === "new");
  refuse(job.partitions !== undefined && perPartition, "has partitions and takes those of its inputs");
  refuse(divided && job.outputs.some((output) => output.partition_by !== undefined), "divides an output twice");
  refuse(readsNew && divided, "reads what is new, and has partitions");
  refuse(readsNew && job.outputs.some((output) => output.strategy !== "append"), "reads what is new, and replaces");
  job.outputs.forEach((output, index) => {
    const receives = output.bad_rows === true;
    const name = `output '${output.dataset}'`;
    refuse(index === 0 && output.sql !== undefined, `has SQL of its own for its first ${name}`);
    refuse(index > 0 && !receives && output.sql === undefined, `has no SQL for ${name}`);
    const made = output.sql !== undefined || output.partition_by !== undefined;
    refuse(receives && index > 0 && made, `makes ${name}, which receives bad rows`);
  });
  return [...faults, ...badRowFaults(job)];
}

function badRowFaults(job: Job): string[] {
  const receiving = job.outputs.filter((output) => output.bad_rows === true);
  const setsAside = "on_bad_row" in job.config && job.config.on_bad_row === "set_aside";
  if (receiving.length !== (setsAside ? 1 : 0)) {
    return [
      `job '${job.name}' has ${receiving.length} outputs for bad rows, and sets ${setsAside ? "them" : "none"} aside`,
    ];
  }
  const [first] = job.outputs;
  return receiving.flatMap((output) =>
    output === first || output.strategy !== first?.strategy
      ? [`job '${job.name}' keeps bad rows in another way than the rows beside them`]
      : [],
  );
}
