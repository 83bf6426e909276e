/**
 * A running stack seen from outside, as its user, as its workers, as another program on its database, and as any S3 or SQS
 * client: everything is read from the state folder, nothing from inside the stack.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";
import { GetQueueAttributesCommand, GetQueueUrlCommand, PurgeQueueCommand, SQSClient } from "@aws-sdk/client-sqs";
import { createClient, type StagingKeys, taskRoutes, userRoutes, workerRoutes } from "@trace/contracts";
import { Database, HttpTransport, ObjectStore, silentLog, stopAll } from "@trace/kit";
import type { Endpoints } from "../../../packages/cli/src/state/endpoints.ts";
import type { TestFolder } from "./folder.ts";

export const datasetsBucket = "trace-datasets";
const region = "us-east-1";
const queueName = "trace-default";

export class Access {
  readonly endpoints: Endpoints;
  readonly user;
  readonly worker;
  /** Each call carries a lease token of its own. */
  readonly task;
  readonly db: Database;
  readonly #folder: TestFolder;
  readonly #transports: HttpTransport[] = [];
  readonly #stores: ObjectStore[] = [];
  readonly #sqs: SQSClient;
  readonly #list: S3Client;

  constructor(folder: TestFolder) {
    this.#folder = folder;
    this.endpoints = JSON.parse(readFileSync(join(folder.dir, "endpoints.json"), "utf8")) as Endpoints;
    const { endpoints } = this;
    const transport = (baseUrl: string, token: () => string) => {
      const made = new HttpTransport({ baseUrl, token: () => Promise.resolve(token()) });
      this.#transports.push(made);
      return made.send;
    };
    const firstLine = (name: string) => folder.secret(name).split("\n")[0] ?? "";
    this.user = createClient(
      userRoutes,
      transport(endpoints.user_api, () => firstLine("api-token")),
    );
    this.worker = createClient(
      workerRoutes,
      transport(endpoints.worker_api, () => firstLine("worker-token")),
    );
    this.task = createClient(
      taskRoutes,
      transport(endpoints.task_api, () => ""),
    );
    const { host, port } = endpoints.postgres.state;
    this.db = new Database({
      url: `postgres://trace_state@${host}:${port}/trace_state`,
      password: folder.secret("postgres-state"),
      name: "system test",
      connectionsMax: 3,
      log: silentLog(),
    });
    const owner = this.#key("owner");
    this.#sqs = new SQSClient({ endpoint: endpoints.sqs, region, credentials: owner });
    this.#list = new S3Client({ endpoint: endpoints.s3, region, credentials: owner, forcePathStyle: true });
  }

  #key(role: "owner" | "worker") {
    return { accessKeyId: `TRACE${role.toUpperCase()}`, secretAccessKey: this.#folder.secret(`s3-${role}`) };
  }

  /** A client of the object store with the key of a role. */
  s3(role: "owner" | "worker"): ObjectStore {
    const store = new ObjectStore({ endpoint: this.endpoints.s3, region, credentials: this.#key(role), triesMax: 1 });
    this.#stores.push(store);
    return store;
  }

  /** The keys of an attempt, asked for with its lease token as its worker asks. */
  async attemptKeys(leaseToken: string): Promise<readonly StagingKeys[]> {
    return (await this.task.createCredentials({ body: {} }, { token: leaseToken })).keys;
  }

  /** What an attempt writes a key of its own with. Asked for while its lease lives; good for a while after. */
  async attemptStores(leaseToken: string): Promise<(key: string) => ObjectStore> {
    const sets = (await this.attemptKeys(leaseToken)).map((keys) => {
      const { access_key_id: accessKeyId, secret_access_key: secretAccessKey, session_token: sessionToken } = keys;
      const credentials = { accessKeyId, secretAccessKey, sessionToken };
      const store = new ObjectStore({ endpoint: this.endpoints.s3, region, credentials, triesMax: 1 });
      this.#stores.push(store);
      return { prefixes: keys.prefixes, store };
    });
    return (key) => {
      const set = sets.find(({ prefixes }) => prefixes.some((prefix) => key.startsWith(prefix)));
      if (set === undefined) throw new Error(`no keys of the attempt open ${key}`);
      return set.store;
    };
  }

  /** Every key of the datasets bucket, as any S3 client lists it. */
  async listKeys(): Promise<string[]> {
    const keys: string[] = [];
    let token: string | undefined;
    do {
      const page = await this.#list.send(
        new ListObjectsV2Command({
          Bucket: datasetsBucket,
          ...(token === undefined ? {} : { ContinuationToken: token }),
        }),
      );
      keys.push(...(page.Contents ?? []).map(({ Key }) => Key ?? ""));
      token = page.NextContinuationToken;
    } while (token !== undefined);
    return keys;
  }

  /** Rows of a statement on Postgres state. */
  sql<R = Record<string, unknown>>(text: string, values: readonly unknown[] = []): Promise<R[]> {
    return this.db.raw<R>(text, values);
  }

  async #queueUrl(): Promise<string> {
    return (await this.#sqs.send(new GetQueueUrlCommand({ QueueName: queueName }))).QueueUrl ?? "";
  }

  async purgeQueue(): Promise<void> {
    await this.#sqs.send(new PurgeQueueCommand({ QueueUrl: await this.#queueUrl() }));
  }

  /** Messages of the queue, those in flight included. */
  async queueLength(): Promise<number> {
    const { Attributes: found } = await this.#sqs.send(
      new GetQueueAttributesCommand({ QueueUrl: await this.#queueUrl(), AttributeNames: ["All"] }),
    );
    return Number(found?.ApproximateNumberOfMessages) + Number(found?.ApproximateNumberOfMessagesNotVisible);
  }

  /** The process that answers for a role. */
  async pidOf(role: "dispatcher" | "worker" | "localcloud"): Promise<number> {
    const answer = await fetch(`${this.endpoints.ops[role]}/healthz`);
    return ((await answer.json()) as { pid: number }).pid;
  }

  async isReady(role: "dispatcher" | "worker" | "localcloud"): Promise<boolean> {
    return (await fetch(`${this.endpoints.ops[role]}/readyz`)).ok;
  }

  /** The value of one sample: its name after `trace_`, and labels it must carry. 0 when it has not been counted yet. */
  async metric(base: string, name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const text = await (await fetch(`${base}/metrics`)).text();
    const wanted = Object.entries(labels).map(([key, value]) => `${key}="${value}"`);
    return text
      .split("\n")
      .filter((line) => line.startsWith(`trace_${name}{`) && wanted.every((label) => line.includes(label)))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
  }

  async stop(): Promise<void> {
    this.#sqs.destroy();
    this.#list.destroy();
    await stopAll([...this.#transports, ...this.#stores, this.db]);
  }
}
