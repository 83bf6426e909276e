/** Bounds and rhythms of a run, with their units. */

/** Attempts of a run when nobody says. */
export const attemptsDefault = 100_000;
/** Of them, at least this part ends by expiry, release or a refused result. */
export const lostPartMin = 0.1;
/** Of the tasks, at least this part is of jobs that commit a dataset. */
export const datasetPartMin = 1 / 3;
/** How often each kind of fault is had at least, in a run of `attemptsDefault` or more; in a smaller one fewer, in proportion. */
export const faultTimesMin = 20;
/** One window in which SQS refuses every call, milliseconds, and calls that it must refuse; in a smaller run shorter. */
export const sqsRefusalMs = 60_000;

/** Time to live of worker sessions, milliseconds: short, so that many expire. */
export const sessionTtlMs = 3_000;
export const dispatchers = 3;
export const workers = 5;
/** Attempts that a worker runs at once: hundreds are lost with one that is killed, and none starves its own heartbeat. */
export const workerSlots = 128;
/** Jobs with one output each: of each of them one task is live at a time. */
export const datasetJobs = 192;

/** Tasks that write nothing and are not over are kept at about this number by the producer. */
export const backlogTasks = 1_500;
/** Of them, at most this many are created for each task that writes a dataset. */
export const plainPerDataset = 1.75;
/** A dataset job whose task has not been heard of for this long is asked about, milliseconds. */
export const datasetSilenceMs = 4_000;
/** Tasks created in one call. */
export const createItemsMax = 500;
/** The producer looks this often, milliseconds. */
export const produceEveryMs = 100;
/** The database is asked this often how many tasks are not over, milliseconds. */
export const gaugeEveryMs = 1_000;
/** The progress of a run is told this often, milliseconds. */
export const tellEveryMs = 10_000;

/** Until Postgres, the endpoints, a dispatcher or a worker takes calls after its start, milliseconds. */
export const readyMsMax = 60_000;
/** After the last fault: until every task is over or explained, milliseconds. */
export const drainMsMax = 90_000;
/** A drain that does not move for this long has something stuck, milliseconds. */
export const drainQuietMsMax = 40_000;
/** A process that was told to end has this long, milliseconds; then it is killed. */
export const stopMsMax = 15_000;
/** A run that takes longer than this is cut and has failed, milliseconds, for each 100,000 attempts. */
export const runMsMax = 12 * 60_000;

/** Connections of the run's own to Postgres: for the dump and for ending backends. */
export const ownConnectionsMax = 2;
/** Tasks of one piece of the dump. */
export const dumpTasksMax = 5_000;

/** The run with a broken fence: small and short, with sessions as short as the dispatcher takes them. */
export const fenceTtlMs = 1_000;
export const fenceWorkers = 1;
export const fenceSlots = 64;
/** Calls that came too late before it ends, and how long it may take to have them, milliseconds. */
export const fenceLateMin = 400;
export const fenceMsMax = 60_000;
