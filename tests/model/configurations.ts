/** What the model is run with: bounds, planted defects, and the verdict each must have. */

/** Situations a proof must have come by; the same words stand beside them in lifecycle.pml. */
export const witnesses = [
  "completed at the last chance",
  "dead of lost leases",
  "dead of failures",
  "late completion refused while the next attempt runs",
  "accepted call repeated",
  "other call after the accepted one",
  "attempt number given out twice",
  "canceled while a worker runs it",
  "second invocation let in first",
  "two leases of one session",
  "replayed and completed",
  "replayed and dead again",
  "completion of an earlier life refused while the replay runs",
] as const;
export type Witness = (typeof witnesses)[number];

/** How large the world is that is searched, and which steps it has. */
export interface Bounds {
  readonly tasks: 1 | 2;
  /** At which failures and which lost leases a task is dead. */
  readonly failures: number;
  readonly losses: number;
  /** How often a task can be released, snoozed, replayed; 0 leaves the step out. */
  readonly releases: number;
  readonly snoozes: number;
  readonly replays: number;
  /** Leases pass their deadlines. */
  readonly deadlines: boolean;
  /** The network repeats calls, late. */
  readonly repeats: boolean;
  /** Attempts are started, and may be invoked twice. */
  readonly starts: boolean;
  readonly cancels: boolean;
}

export interface Configuration {
  readonly name: string;
  readonly bounds: Bounds;
  /** Safety looks at every state; liveness at every infinite run that is fair. */
  readonly looksAt: "safety" | "liveness";
  /** The flag that plants a defect, as the head of lifecycle.pml lists them. */
  readonly defect?: string;
  /** `holds`, or how the verdict begins: the property that the planted defect breaks. */
  readonly expected: "holds" | `property ${number}`;
  readonly witnesses: readonly Witness[];
  /** Searched only on request: larger than what each change has time for. */
  readonly deep: boolean;
}

const least: Bounds = {
  tasks: 1,
  failures: 1,
  losses: 2,
  releases: 0,
  snoozes: 0,
  replays: 0,
  deadlines: true,
  repeats: false,
  starts: false,
  cancels: false,
};

function safe(name: string, bounds: Partial<Bounds>, seen: readonly Witness[], deep = false): Configuration {
  return {
    name,
    bounds: { ...least, ...bounds },
    looksAt: "safety",
    expected: "holds",
    witnesses: seen,
    deep,
  };
}

function ends(name: string, bounds: Partial<Bounds>): Configuration {
  return {
    name,
    bounds: { ...least, ...bounds },
    looksAt: "liveness",
    expected: "holds",
    witnesses: [],
    deep: false,
  };
}

const lives: readonly Witness[] = ["completed at the last chance", "dead of lost leases", "dead of failures"];
/** A verdict is remembered as long as somebody can ask again, so these need the network that repeats calls. */
const repeated: readonly Witness[] = [
  "late completion refused while the next attempt runs",
  "accepted call repeated",
  "other call after the accepted one",
];
const controls: readonly Witness[] = ["attempt number given out twice", "canceled while a worker runs it"];
const replayed: readonly Witness[] = ["replayed and completed", "replayed and dead again"];

/** Long searches first, so that two at a time end together. */
const sound: readonly Configuration[] = [
  safe("retries", { failures: 2, repeats: true }, [...lives, ...repeated]),
  safe("calls", { releases: 1, repeats: true, starts: true, cancels: true }, [
    ...lives,
    ...repeated,
    ...controls,
    "second invocation let in first",
  ]),
  safe("replays", { failures: 2, releases: 1, replays: 1, cancels: true }, [...lives, ...replayed, ...controls]),
  safe("counts", { failures: 3, losses: 3, releases: 1, snoozes: 1, starts: true, cancels: true }, [
    ...lives,
    ...controls,
  ]),
  safe("pair", { tasks: 2, cancels: true }, [...lives, "two leases of one session", "canceled while a worker runs it"]),
  safe("replay-calls", { losses: 1, replays: 1, repeats: true, cancels: true }, [
    ...lives,
    ...repeated,
    ...replayed,
    "canceled while a worker runs it",
    "completion of an earlier life refused while the replay runs",
  ]),
  ends("ends-pair", { tasks: 2, deadlines: false }),
  ends("ends-calls", { repeats: true, starts: true }),
  ends("ends-replays", { replays: 1, cancels: true, deadlines: false }),
  // No deadlines: a timeout may be days, and the death of a worker must not cost as much.
  ends("ends", { failures: 2, releases: 1, snoozes: 1, starts: true, cancels: true, deadlines: false }),
];

/** The bounds of a configuration that holds, so that nothing but the defect makes the difference. */
function planted(name: string, defect: string, on: string, expected: Configuration["expected"]): Configuration {
  const base = sound.find((one) => one.name === on);
  if (base === undefined) throw new Error(`'${name}' is planted on '${on}', which is none of the configurations`);
  return { ...base, name, defect, expected, witnesses: [] };
}

/** The one whose counterexample docs/model.md shows. */
export const shownCounterexample = "no-fence";

const defects: readonly Configuration[] = [
  planted(shownCounterexample, "NO_FENCE", "retries", "property 2"),
  planted("attempt-fence", "ATTEMPT_FENCE", "calls", "property 2"),
  planted("early-judge", "EARLY_JUDGE", "retries", "property 2"),
  planted("early-sweep", "EARLY_SWEEP", "retries", "property 1"),
  planted("start-twice", "START_TWICE", "calls", "property 1"),
  planted("torn-claim", "TORN_CLAIM", "retries", "property 3"),
  planted("cancel-leaves-lease", "CANCEL_LEAVES_LEASE", "calls", "property 3"),
  planted("commit-apart", "COMMIT_APART", "retries", "property 4"),
  planted("no-sweep", "NO_SWEEP", "ends", "property 5"),
  planted("session-kept", "SESSION_KEPT", "ends", "property 5"),
  planted("loss-is-failure", "LOSS_IS_FAILURE", "retries", "property 6"),
  planted("replay-keeps-counts", "REPLAY_KEEPS_COUNTS", "replays", "property 6"),
  planted("forgetful", "FORGETFUL", "retries", "property 7"),
];

const deeper: readonly Configuration[] = [
  safe(
    "deep-calls",
    { failures: 2, releases: 1, repeats: true, starts: true, cancels: true },
    [...lives, ...repeated, ...controls, "second invocation let in first"],
    true,
  ),
  safe("deep-retries", { failures: 3, repeats: true }, [...lives, ...repeated], true),
  safe(
    "deep-replay-calls",
    { replays: 1, repeats: true, cancels: true },
    [...lives, ...repeated, ...replayed, "completion of an earlier life refused while the replay runs"],
    true,
  ),
  safe("deep-pair", { tasks: 2, failures: 2 }, [...lives, "two leases of one session"], true),
];

export const configurations: readonly Configuration[] = [...sound, ...defects, ...deeper];

/** As Spin and its search program take them. */
export function flagsOf({ bounds, defect, looksAt }: Configuration): string[] {
  const values = {
    TASKS: bounds.tasks,
    FAILURES_MAX: bounds.failures,
    LOSSES_MAX: bounds.losses,
    RELEASES_MAX: bounds.releases,
    SNOOZES_MAX: bounds.snoozes,
    REPLAYS_MAX: bounds.replays,
    DEADLINES: Number(bounds.deadlines),
    DUPLICATES: Number(bounds.repeats),
    STARTS: Number(bounds.starts),
    CANCELS: Number(bounds.cancels),
  };
  return [
    ...Object.entries(values).map(([name, value]) => `-D${name}=${value}`),
    ...(looksAt === "liveness" ? ["-DLIVENESS"] : []),
    ...(defect === undefined ? [] : [`-D${defect}`]),
  ];
}

/** For a table: `1 task, F1 L2 R1 S0 P0, deadlines starts`. */
export function boundsInWords({ bounds }: Configuration): string {
  const { tasks, failures, losses, releases, snoozes, replays } = bounds;
  const steps = (["deadlines", "repeats", "starts", "cancels"] as const).filter((step) => bounds[step]);
  return `${tasks} task${tasks === 1 ? "" : "s"}, F${failures} L${losses} R${releases} S${snoozes} P${replays}, ${steps.join(" ") || "-"}`;
}
