/** Every bound of the embedded Postgres servers, named with its unit. */

export const postgresLimits = {
  /** Making a new cluster; usually 1 s, slow disks take longer. */
  initMaxMs: 120_000,
  /** From spawn to ready, crash recovery included. */
  startMaxMs: 60_000,
  /** A fast shutdown (sessions cut, checkpoint written); then it becomes immediate. */
  stopFastMaxMs: 15_000,
  /** An immediate shutdown; then the process is killed. */
  stopImmediateMaxMs: 5_000,
  /** After a kill: until the kernel has taken away the last process of the data folder. */
  killMaxMs: 5_000,
  /** Between two looks at a condition (pid file, process list). */
  pollMs: 20,
  /** One try to speak to the server. */
  probeMaxMs: 2_000,
  /** Free space below which nothing is initialised or started: a full disk stops Postgres in the middle of a write. */
  freeBytesMin: 256 * 1024 * 1024,
  /** Sessions per server: seven roles with small pools, and a few people. */
  connectionsMax: 60,
  /** Memory shared by sessions; only pages that were touched count as used. */
  sharedBuffersMiB: 64,
  /** Write-ahead log kept between checkpoints: a small cluster stays small on disk. */
  walMinMiB: 32,
  walMaxMiB: 512,
  /** A session that holds a transaction open without working is cut. */
  idleInTransactionMaxMs: 60_000,
  /** After a failed start: until its last lines have been read. */
  lastWordsMaxMs: 1_000,
  /** Lines of the server's output that an error quotes. */
  tailLines: 12,
} as const;
