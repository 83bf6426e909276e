/** The work that both sides do, in the same words: the flights with their month, split by it. */

export const monthColumn = "month";

/** Over a view or a table function. */
export function splitSql(source: string): string {
  return `SELECT *, strftime("date", '%Y-%m') AS ${monthColumn} FROM ${source}`;
}

/** Our job: one task that writes all partitions. Without a new commit of the same content each time, because each has its own SQL. */
export function splitDag(file: string): string {
  return `dag: bench
jobs:
  split:
    operator: ingest
    source: { file: ${file}, format: parquet }
    sql: ${splitSql("source")}
    outputs:
      - dataset: flights
        partition_by: ${monthColumn}
    timeout: 1h
`;
}
