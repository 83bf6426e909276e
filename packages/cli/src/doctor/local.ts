/** What only a stack on this machine lets the doctor do: its keys and passwords are in the state folder, for its owner alone. */
import { randomUUID } from "node:crypto";
import type { ObjectStore } from "@trace/kit";
import { checkMsMax } from "../limits.ts";
import type { Endpoints } from "../state/endpoints.ts";
import { preferredPorts } from "../up/limits.ts";
import { type Check, type DoctorWorld, type Finding, type NamedFinding, ok, skip, warn } from "./check.ts";
import { type AskedPostgres, judgeSettings, type PostgresSettings, settingsQuery } from "./postgres.ts";
import { storeRights, type TriedStore } from "./store.ts";

const datasetsBucket = "trace-datasets";
/** Nobody reads below it, and nothing stays there. */
const triedFolder = "doctor";
const emptySha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/** A store as the check tries it. */
export function triedStore(store: ObjectStore): TriedStore {
  return {
    put: (key, { ifAbsent }) =>
      store.put({ bucket: datasetsBucket, key, body: new Uint8Array(), bytes: 0, sha256: emptySha256, ifAbsent }),
    delete: async (key) => {
      await store.delete(datasetsBucket, key);
      return "deleted";
    },
  };
}

/** Undefined where the state folder has no such secret, or keeps it from this user. */
async function secretOf(world: DoctorWorld, name: string): Promise<string | undefined> {
  const { readSecret } = await import("@trace/localcloud");
  try {
    const text = readSecret(world.state.dir, name)?.trim();
    return text === "" ? undefined : text;
  } catch {
    return undefined; // Said as "not tried": the check of the state folder tells why it cannot be read.
  }
}

const noKeys = skip("not tried: the stack's keys are not in this state folder");

async function rights(world: DoctorWorld, endpoints: Endpoints): Promise<NamedFinding[]> {
  const [worker, dispatcher] = await Promise.all(["s3-worker", "s3-dispatcher"].map((name) => secretOf(world, name)));
  if (worker === undefined || dispatcher === undefined) return [{ name: "s3 rights", ...noKeys }];
  const { ObjectStore } = await import("@trace/kit");
  const open = (accessKeyId: string, secretAccessKey: string) =>
    new ObjectStore({
      endpoint: endpoints.s3,
      region: "us-east-1",
      credentials: { accessKeyId, secretAccessKey },
      triesMax: 1,
    });
  const stores = { worker: open("TRACEWORKER", worker), dispatcher: open("TRACEDISPATCHER", dispatcher) };
  try {
    const key = `${triedFolder}/${randomUUID()}`;
    return await storeRights({ worker: triedStore(stores.worker), dispatcher: triedStore(stores.dispatcher) }, key);
  } finally {
    await Promise.all(Object.values(stores).map((store) => store.stop()));
  }
}

async function settings(world: DoctorWorld, server: Omit<AskedPostgres, "password">): Promise<Finding> {
  const password = await secretOf(world, `postgres-${server.name}`);
  if (password === undefined) return skip("not asked: its password is not in this state folder");
  const { Database, silentLog } = await import("@trace/kit");
  const role = `trace_${server.name}`;
  const db = new Database({
    url: `postgres://${role}@${server.host}:${server.port}/${role}`,
    password,
    name: "trace doctor",
    connectionsMax: 1,
    settings: { statement_timeout: String(checkMsMax) },
    log: silentLog(),
  });
  try {
    const [found] = await db.raw<PostgresSettings & Record<string, unknown>>(settingsQuery);
    return found === undefined ? skip("it told no settings") : judgeSettings(found);
  } finally {
    await db.stop();
  }
}

/** Checks of a stack that runs on this machine. */
export function localChecks(world: DoctorWorld, endpoints: Endpoints): Check[] {
  const group = "services";
  const { postgres } = endpoints;
  return [
    { name: "state settings", group, find: () => settings(world, { name: "state", ...postgres.state }) },
    { name: "data settings", group, find: () => settings(world, { name: "data", ...postgres.data }) },
    { name: "s3 rights", group, find: () => rights(world, endpoints) },
  ];
}

/** Whether the ports that a stack takes first are free. Only asked while none runs: they are its own otherwise. */
export async function ports(listening: (port: number) => Promise<boolean>): Promise<Finding> {
  const numbers = Object.values(preferredPorts);
  const taken: number[] = [];
  for (const port of numbers) if (await listening(port)) taken.push(port);
  const range = `${Math.min(...numbers)} to ${Math.max(...numbers)}`;
  if (taken.length === 0) return ok(`those of a stack are free (${range})`);
  return warn(
    `in use by another program: ${taken.join(", ")}`,
    "nothing has to be done: 'trace up' takes others and keeps them; to have the usual ones, end that program",
  );
}
