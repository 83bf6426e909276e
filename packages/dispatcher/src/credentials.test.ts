/** Keys of attempts: whom they are given to, what they open, how long they live, and who is turned away. */
import { type ClaimedTask, type StagingCredentials, TraceError } from "@trace/contracts";
import { type AssumeRoleRequest, type SessionCredentials, sessionPolicyCharsMax } from "@trace/kit";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Credentials } from "./credentials.ts";
import { taskAuthentication } from "./http/task.ts";
import { attemptKeysLeftMs, attemptKeysSecondsMax, attemptKeysSecondsMin } from "./limits.ts";
import { decodeToken, encodeToken } from "./rules/token.ts";
import { Registry } from "./testing/registry.ts";
import { datasetsBucket } from "./testing/world.ts";

let reg: Registry;
beforeAll(async () => {
  reg = await Registry.open();
});
afterAll(() => reg.world.close());
beforeEach(() => reg.world.clear());

const roleArn = "arn:aws:iam::000000000000:role/staging";

/** A token service that answers when it is told to. */
class Sts {
  readonly asked: AssumeRoleRequest[] = [];
  held: Promise<void> | undefined;
  failure: TraceError | undefined;
  nowMs = 1_000_000;

  async assumeRole(request: AssumeRoleRequest): Promise<SessionCredentials> {
    const number = this.asked.push(request);
    await this.held;
    if (this.failure !== undefined) throw this.failure;
    const expiresAt = new Date(this.nowMs + request.seconds * 1_000);
    return { accessKeyId: `K${number}`, secretAccessKey: "s", sessionToken: "t", expiresAt };
  }
}

function opened(sts: Sts | undefined = new Sts()): { sts: Sts; credentials: Credentials } {
  const credentials = new Credentials({
    db: reg.world.db,
    datasetsBucket,
    clock: { nowMs: () => sts.nowMs },
    tokens: sts,
    roleArn,
  });
  return { sts, credentials };
}

const leaseOf = (task: ClaimedTask) => ({
  token: decodeToken(task.lease_token),
  lease_no: task.lease_no,
  outputs: task.staging,
});

const idsOf = ({ keys }: StagingCredentials) => keys.map(({ access_key_id }) => access_key_id);

/** Claims a task of a job with so many outputs. */
async function takeWide(outputs: number): Promise<ClaimedTask> {
  const names = Array.from({ length: outputs }, (_, index) =>
    index === 0 ? "wide_0" : `{ dataset: wide_${index}, sql: select 1 }`,
  );
  await reg.world.deploy(
    `dag: wide\njobs:\n  all: { operator: ingest, source: { file: a.csv }, outputs: [${names.join(", ")}] }\n`,
  );
  await reg.world.create("wide", "all");
  return reg.world.claimOne();
}

describe("an attempt's keys", () => {
  test("open its staging prefixes and nothing else, for what is done to a staged file", async () => {
    const task = await reg.take("plain");
    const { sts, credentials } = opened();
    expect(await credentials.of(leaseOf(task))).toEqual({
      keys: [
        {
          prefixes: [task.staging[0]?.prefix],
          access_key_id: "K1",
          secret_access_key: "s",
          session_token: "t",
          expires_at: expect.stringMatching(/Z$/),
        },
      ],
    });
    const [request] = sts.asked;
    expect(request).toMatchObject({ roleArn, sessionName: `trace-lease-${task.lease_no}` });
    expect(request?.policy.Statement).toEqual([
      {
        Effect: "Allow",
        Action: ["s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
        Resource: `arn:aws:s3:::${datasetsBucket}/${task.staging[0]?.prefix}*`,
      },
    ]);
  });

  test("end when nobody may write there any more, and that was recorded before they were made", async () => {
    const task = await reg.take("plain");
    const { sts, credentials } = opened();
    const writeUntil = async () => {
      const [row] = await reg.world.db.raw<{ seconds: number }>(
        "select extract(epoch from write_until - clock_timestamp())::float8 as seconds from staging where lease_no = $1",
        [task.lease_no],
      );
      return row?.seconds ?? 0;
    };
    await credentials.of(leaseOf(task));
    expect(sts.asked[0]?.seconds).toBeLessThanOrEqual(attemptKeysSecondsMax);
    expect(await writeUntil()).toBeGreaterThanOrEqual((sts.asked[0]?.seconds ?? 0) - 5);
    await reg.world.db.raw(`update leases set deadline = clock_timestamp() + interval '2 seconds';
      update staging set write_until = clock_timestamp() + interval '902 seconds'`);
    const other = opened();
    await other.credentials.of(leaseOf(task));
    expect(other.sts.asked[0]?.seconds).toBeGreaterThanOrEqual(attemptKeysSecondsMin);
    expect(other.sts.asked[0]?.seconds).toBeLessThanOrEqual(902);
  });

  test("are made once for calls that meet, kept while they are good for a while, and then made anew", async () => {
    const task = await reg.take("plain");
    const { sts, credentials } = opened();
    const hold = Promise.withResolvers<void>();
    sts.held = hold.promise;
    const both = [credentials.of(leaseOf(task)), credentials.of(leaseOf(task))];
    hold.resolve();
    expect(new Set((await Promise.all(both)).flatMap(idsOf))).toEqual(new Set(["K1"]));
    expect(idsOf(await credentials.of(leaseOf(task)))).toEqual(["K1"]);
    sts.nowMs += (sts.asked[0]?.seconds ?? 0) * 1_000 - attemptKeysLeftMs;
    expect(idsOf(await credentials.of(leaseOf(task)))).toEqual(["K2"]);
    expect(sts.asked).toHaveLength(2);
  });

  test("that could not be made are asked for again by the next call", async () => {
    const task = await reg.take("plain");
    const { sts, credentials } = opened();
    sts.failure = new TraceError("TR-4006", { detail: "away" });
    await expect(credentials.of(leaseOf(task))).rejects.toMatchObject({ code: "TR-4006" });
    sts.failure = undefined;
    expect(idsOf(await credentials.of(leaseOf(task)))).toEqual(["K2"]);
  });

  test.each([1, 20, 60, 100])(
    "with %i outputs open each prefix once, by policies that STS takes and none wider",
    async (outputs) => {
      const task = await takeWide(outputs);
      const { sts, credentials } = opened();
      const { keys } = await credentials.of(leaseOf(task));
      const prefixes = task.staging.map(({ prefix }) => prefix).sort();
      expect(prefixes).toHaveLength(outputs);
      expect(keys.flatMap((set) => set.prefixes).sort()).toEqual(prefixes);
      expect(sts.asked).toHaveLength(Math.ceil(outputs / 20));
      for (const [index, { policy }] of sts.asked.entries()) {
        expect(JSON.stringify(policy).length).toBeLessThanOrEqual(sessionPolicyCharsMax);
        const resources = policy.Statement.flatMap(({ Resource }) => Resource);
        const own = keys.find(({ access_key_id }) => access_key_id === `K${index + 1}`)?.prefixes ?? [];
        expect(resources).toEqual(own.map((prefix) => `arn:aws:s3:::${datasetsBucket}/${prefix}*`));
      }
      expect(idsOf(await credentials.of(leaseOf(task)))).toEqual(idsOf({ keys }));
    },
  );

  test("of which one set could not be made are not given out, and all are made anew", async () => {
    const task = await takeWide(60);
    const { sts, credentials } = opened();
    const asked = sts.assumeRole.bind(sts);
    sts.assumeRole = async (request) => {
      const keys = await asked(request);
      if (keys.accessKeyId === "K2") throw new TraceError("TR-4006", { detail: "away" });
      return keys;
    };
    await expect(credentials.of(leaseOf(task))).rejects.toMatchObject({ code: "TR-4006" });
    expect(idsOf(await credentials.of(leaseOf(task)))).toEqual(["K4", "K5", "K6"]);
  });

  test("of two attempts are never the same, and open nothing of the other's", async () => {
    const [one, two] = [await reg.take("plain"), await reg.take("other")];
    const { sts, credentials } = opened();
    await credentials.of(leaseOf(one));
    await credentials.of(leaseOf(two));
    const resources = sts.asked.map((request) => JSON.stringify(request.policy));
    expect(resources[0]).not.toContain(two.staging[0]?.prefix);
    expect(resources[1]).not.toContain(one.staging[0]?.prefix);
  });
});

describe("nobody gets keys", () => {
  const ends: [string, (task: ClaimedTask) => Promise<unknown>][] = [
    ["whose lease is past its deadline", () => reg.world.passDeadlines()],
    ["whose session is over", () => reg.world.expireSessions()],
    ["whose attempt has ended well", (task) => reg.world.succeed(task)],
    ["whose attempt has failed", (task) => reg.world.fail(task)],
  ];

  test.each(ends)("%s, also when it had some before", async (_, end) => {
    const task = await reg.take("plain");
    const { sts, credentials } = opened();
    const authenticate = taskAuthentication(reg.world.db);
    await credentials.of(leaseOf(task));
    await end(task);
    // As the listener does it: the token is judged first, and only who holds a live lease is given what was kept.
    await expect(authenticate(task.lease_token)).rejects.toMatchObject({ code: "TR-3001" });
    await expect(opened(sts).credentials.of(leaseOf(task))).rejects.toMatchObject({ code: "TR-3001" });
    expect(sts.asked).toHaveLength(1);
  });

  test("with the number of another's lease and a secret that is guessed", async () => {
    const task = await reg.take("plain");
    const { sts, credentials } = opened();
    await credentials.of(leaseOf(task));
    const guess = Buffer.from(decodeToken(task.lease_token));
    guess.writeUInt8((guess.readUInt8(39) + 1) % 256, 39);
    expect(await taskAuthentication(reg.world.db)(encodeToken(guess))).toBeUndefined();
    await expect(
      credentials.of({ token: guess, lease_no: task.lease_no, outputs: task.staging }),
    ).rejects.toMatchObject({ code: "TR-3001" });
    expect(sts.asked).toHaveLength(1);
  });

  test("whose lease ends while they are made: the place is locked until the end is known", async () => {
    const task = await reg.take("plain");
    const { sts, credentials } = opened();
    const locked = reg.world.race.pauseAt("complete:locked");
    const completing = reg.world.succeed(task);
    await locked.reached;
    const asking = credentials.of(leaseOf(task)).catch((error: unknown) => error);
    locked.resume();
    await completing;
    expect(await asking).toMatchObject({ code: "TR-3001" });
    expect(sts.asked).toEqual([]);
  });

  test("where no token service is configured: the attempt is told to use its worker's", async () => {
    const task = await reg.take("plain");
    const none = new Credentials({
      db: reg.world.db,
      datasetsBucket,
      clock: { nowMs: () => 0 },
      tokens: undefined,
      roleArn: undefined,
    });
    const refused = { code: "TR-4029", fix: expect.stringContaining("worker's own key") };
    await expect(none.of(leaseOf(task))).rejects.toMatchObject(refused);
  });

  test("that writes nothing", async () => {
    const { sts, credentials } = opened();
    await reg.world.deploy("dag: plainly\njobs:\n  noop: { operator: noop }\n");
    await reg.world.create("plainly", "noop");
    const task = await reg.world.claimOne();
    await expect(credentials.of(leaseOf(task))).rejects.toMatchObject({ code: "TR-4029" });
    expect(sts.asked).toEqual([]);
  });
});
