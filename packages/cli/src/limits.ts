/** Bounds of the command line. Units are in the names. */

/** Polls of a run that is watched. */
export const runPollMs = 500;
/** Redraws of live progress on a terminal. */
export const redrawMs = 120;
/** Without a terminal, a task that goes on says so this often. */
export const runLineEveryMs = 10_000;
/** While a run is watched, a service that does not answer is asked again for this long. */
export const runSilenceMsMax = 60_000;
/** Waits between those tries. */
export const runRetryMs = { baseMs: 250, maxMs: 5_000 } as const;
/** A call without an answer for this long is said to be waited for. */
export const waitingSaidMs = 2_000;
/** A task's speed is taken from its progress within this time. */
export const progressWindowMs = 60_000;
/** Reports of progress kept for it. */
export const progressSamplesMax = 200;
/** Columns of a progress bar, and of one among those of many tasks. */
export const progressBarColumns = 24;
export const taskBarColumns = 12;
/** With fewer columns than this beside it, a bar gives way to the words. */
export const progressTextColumnsMin = 20;
/** What is over within this shows no progress: it would only flicker. */
export const progressAfterMs = 400;
/** A run of more tasks than this has a line for their sum. */
export const tasksTalliedMin = 3;
/** A run of more tasks than this says its sum, and only what goes wrong task by task. */
export const tasksSaidMax = 20;
/** Tasks that must have ended before the time that a run has left is guessed from them. */
export const tasksGuessMin = 2;

/** Tasks that one command creates, cancels, retries or replays: what one call takes. */
export const actionTasksMax = 10_000;
/** Answers shown one by one; of more, those that were refused are shown and the others counted. */
export const answersShownMax = 50;
/** Jobs named when it is asked whether their tasks are meant. */
export const jobsNamedMax = 8;

/** Somebody who presses Tab waits for names so long, and gets the newest so many. */
export const completionMsMax = 800;
export const completionNamesMax = 100;

/** Pages looked through for a shortened task id, of `pageRowsMax` tasks each. */
export const shortIdPagesMax = 10;
/** Fewest characters of a shortened task id. */
export const shortIdCharsMin = 4;

/** Rows that a query shows as a table unless told otherwise. */
export const tableRowsDefault = 50;
/** Rows that a query gives as csv, json or jsonl unless told otherwise. */
export const queryRowsDefault = 10_000;
/** Rows that `--limit` can ask for. They pass through memory. */
export const queryRowsMax = 1_000_000;
/** Weight of those rows, bytes. */
export const queryBytesMax = 256 * 1024 * 1024;
/** A query is ended after this. */
export const queryDeadlineMs = 300_000;

/** Rows that a preview shows unless told otherwise, and at most. */
export const previewRowsDefault = 20;
export const previewRowsMax = 1_000;
/** Files that differ between two versions are fetched unasked up to this many bytes. */
export const diffBytesMax = 512 * 1024 ** 2;
/** Rows shown of those that differ, and what they may weigh, bytes. */
export const diffSampleRows = 10;
export const diffSampleBytesMax = 4 * 1024 ** 2;
/** Characters of a value in the sample of rows that differ. */
export const diffCellCharsMax = 200;
/** Partitions shown of those that differ. */
export const diffPartitionsShownMax = 40;
/** Partition keys named in one line. */
export const partitionsNamedMax = 12;
/** Lines of a tree of lineage. */
export const lineageLinesMax = 200;

/** Files fetched at once. */
export const downloadsMax = 4;
/** One file must have arrived within this. */
export const downloadMsMax = 300_000;
/** What the object cache keeps; the longest unused files go first. */
export const cacheBytesMax = 2 * 1024 ** 3;
/** A file used within this time is never evicted: another command may be about to open it. */
export const cacheSparedMs = 15 * 60_000;
/** A half-written download older than this belongs to nobody. */
export const partialMsMax = 60 * 60_000;

/** Largest file of small settings (endpoints.json, a token) that is read. */
export const settingsBytesMax = 64 * 1024;

/** Terminals narrower than this are written to as if they were this wide. */
export const columnsMin = 40;
/** Output that is no terminal is laid out for this width. */
export const columnsDefault = 120;
/** Prose is never set wider than this. */
export const proseColumnsMax = 100;
/** A table cell is cut beyond this. */
export const cellColumnsMax = 60;

/** One check of the doctor gives up after this. */
export const checkMsMax = 5_000;
/** A port that does not answer within this is taken for free. */
export const portMsMax = 300;
/** Disk free below this is a warning, and below the second a failure, bytes. */
export const diskFreeWarnBytes = 5 * 1024 ** 3;
export const diskFreeFailBytes = 512 * 1024 ** 2;
/** Files counted to tell how much of the disk is used; beyond it the figure is a lower bound. */
export const diskFilesMax = 200_000;
/** Fewest open files the stack is comfortable with. */
export const openFilesMin = 4_096;
/** Clocks further apart than this are a warning, and beyond the second a failure (signatures are refused then). */
export const clockSkewWarnMs = 5_000;
export const clockSkewFailMs = 5 * 60_000;
/** An outbox row that waits longer than this is a warning. */
export const outboxAgeWarnMs = 60_000;

/** Of a file, and of what it unpacks to, to tell what it is, bytes. */
export const sniffBytes = 64 * 1024;
/** Looking at a file for its columns gives up after this. */
export const inferDeadlineMs = 5 * 60_000;
/** Lines of one changed text that a plan shows, before and after. */
export const planLinesMax = 8;
/** Columns that `trace init` lists on the terminal; the DAG file has all of them. */
export const columnsShownMax = 20;
