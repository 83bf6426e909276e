/** The DAGs of the suite: jobs whose tasks each publish one partition. No worker runs them; the clients do. */

const keysOf = (count: number) => Array.from({ length: count }, (_, at) => `p${String(at).padStart(5, "0")}`);

/** `jobs` datasets, each with as many partitions as there are tasks for it. */
export function dagOf(jobs: number, tasks: number): string {
  const keys = keysOf(Math.ceil(tasks / jobs)).join(", ");
  const job = (name: string) => `  write_${name}:
    operator: ingest
    partitions: { keys: [${keys}] }
    source: { file: nobody-reads-it.parquet, format: parquet }
    outputs: [${name}]
`;
  const names = Array.from({ length: jobs }, (_, at) => `d${String(at).padStart(2, "0")}`);
  return `dag: bench\njobs:\n${names.map(job).join("")}`;
}

/** The dataset that is hot, where there is one. */
export const hotDataset = "d00";
