/** One attempt as a writer makes it: what it claims, stages and says, each kept as a fact. */
import { randomBytes } from "node:crypto";
import type { SeededRandom } from "../../../faults/random.ts";
import type { Claim, Content, End, Published, StagedFile } from "../check/facts.ts";
import { sha256Of } from "./objects.ts";
import { months } from "./plan.ts";
import { keepRead, type Scene } from "./scene.ts";
import { type Answer, codeOf } from "./wire.ts";

interface Place {
  readonly dataset: string;
  readonly prefix: string;
  readonly partition?: string | null;
  readonly previous?: { readonly fingerprint: string };
}

export interface ClaimedTask {
  readonly task_id: string;
  readonly lease_no: number;
  readonly lease_token: string;
  readonly payload: { readonly append_key?: string };
  readonly inputs?: readonly { readonly dataset: string; readonly commit: number; readonly from?: number }[];
  readonly staging?: readonly Place[];
  readonly partition?: string | null;
}

/** How a manifest may lie. */
export const lies = [
  "size",
  "checksum",
  "rows",
  "another's file",
  "a file outside",
  "dots",
  "another lease",
  "no such file",
  "its own words",
] as const;
export type Lie = (typeof lies)[number];

interface Manifest {
  format: string;
  dataset: string;
  task_id: string;
  lease_no: number;
  partition: string | null;
  schema: { name: string; type: string }[];
  rows: number;
  bytes: number;
  files: { key: string; bytes: number; rows: number; sha256: string; columns: never[]; partition?: string }[];
  fingerprint?: string;
}

export interface Said {
  readonly body: unknown;
  readonly words: string;
  readonly contents: ReadonlyMap<string, Content>;
  readonly lie: string | undefined;
}

interface CompletionAnswer {
  readonly accepted: boolean;
  readonly error?: { readonly code: string };
  readonly commits?: readonly Published[];
}

export class Attempt {
  readonly scene: Scene;
  readonly task: ClaimedTask;
  readonly #random: SeededRandom;
  /** Keys that were stored. */
  readonly stored: string[] = [];
  #manifests = 0;

  constructor(scene: Scene, task: ClaimedTask, answer: Answer, random: SeededRandom) {
    this.scene = scene;
    this.task = task;
    this.#random = random;
    const { sentMs, answeredMs } = answer;
    const inputs = (task.inputs ?? []).map(({ dataset, commit, from }) => ({ dataset, commit, from }));
    const asked = task.payload.append_key;
    const claim: Claim = {
      sentMs,
      answeredMs,
      lease: task.lease_no,
      task: task.task_id,
      inputs,
      partition: task.partition ?? "",
      asked,
    };
    scene.facts.claims.push(claim);
  }

  /** The files of its inputs, as the task API names them. */
  async readInputs(): Promise<void> {
    const asked = (this.task.inputs ?? [])
      .toSorted((a, b) => (a.dataset < b.dataset ? -1 : 1))
      .map(({ dataset, commit, from }) => ({ dataset, version: commit === 0 ? undefined : commit, from }));
    // A dataset without a commit is read as its head, which it may not be any more.
    if (asked.length === 0 || asked.some(({ version }) => version === undefined)) return;
    const answer = await this.scene.wire.send({
      via: "task",
      method: "GET",
      path: "/v1/task/inputs",
      token: this.task.lease_token,
    });
    if (codeOf(answer) === "TR-3001") return;
    if (keepRead(this.scene, asked, answer) !== undefined) this.scene.tally.add("inputs read by attempts");
  }

  /** Stores files of every output and then its manifests; `half`: stops before the first manifest. */
  async stage({ lie, half = false }: { lie?: Lie; half?: boolean } = {}): Promise<Said | undefined> {
    const contents = new Map<string, Content>();
    const outputs: unknown[] = [];
    for (const place of this.task.staging ?? []) {
      const fingerprint = this.#fingerprint(place);
      if (
        lie === undefined &&
        fingerprint !== undefined &&
        fingerprint === place.previous?.fingerprint &&
        this.#random.chance(0.6)
      ) {
        contents.set(place.dataset, { files: [], fingerprint });
        outputs.push({ dataset: place.dataset, unchanged: true, fingerprint });
        continue;
      }
      const files = await this.#files(place);
      if (half) return undefined;
      const manifest = this.#manifest(place, files, fingerprint);
      const told = lie === undefined ? manifest : this.#twisted(manifest, lie, place);
      const bytes = Buffer.from(JSON.stringify(told));
      this.#manifests += 1;
      const key = `${place.prefix}manifest-${this.#manifests}.json`;
      await this.#put(place, key, bytes);
      outputs.push({
        dataset: place.dataset,
        manifest_key: key,
        manifest_sha256: lie === "its own words" ? sha256Of(key_(key)) : sha256Of(bytes),
      });
      contents.set(place.dataset, { files, fingerprint });
    }
    const body = { lease_token: this.task.lease_token, result: { kind: "success", outputs } };
    return { body, words: sha256Of(Buffer.from(JSON.stringify(body))), contents, lie };
  }

  /** Ends the attempt. Answers with what became of it; undefined: nobody knows. */
  async complete(said: Said, cutMs?: number): Promise<boolean | undefined> {
    const { wire, facts, tally } = this.scene;
    const call = { via: "worker", method: "POST", path: "/v1/completions", body: { items: [said.body] } } as const;
    const answer = await wire.send(cutMs === undefined ? call : { ...call, cutMs });
    const { sentMs } = answer;
    const item = (answer.body as { items?: readonly CompletionAnswer[] } | undefined)?.items?.[0];
    const known = answer.answeredMs !== undefined && item !== undefined;
    const published = (item?.commits ?? []).map(({ dataset, commit, outcome }) => ({ dataset, commit, outcome }));
    const end: End = {
      sentMs,
      answeredMs: known ? answer.answeredMs : undefined,
      lease: this.task.lease_no,
      words: said.words,
      contents: said.contents,
      lie: said.lie,
      accepted: known && item.accepted,
      code: known ? item.error?.code : undefined,
      published,
    };
    facts.ends.push(end);
    if (!known) tally.add("answers lost");
    return known ? item.accepted : undefined;
  }

  async fail(code: "TR-3007" | "TR-5009"): Promise<void> {
    const result = { kind: "failure", error: { code, detail: "a writer that fails" } };
    await this.#other("/v1/completions", { lease_token: this.task.lease_token, result });
  }

  async release(): Promise<void> {
    await this.#other("/v1/releases", { lease_token: this.task.lease_token });
  }

  async #other(path: string, item: unknown): Promise<void> {
    const answer = await this.scene.wire.send({ via: "worker", method: "POST", path, body: { items: [item] } });
    const accepted =
      (answer.body as { items?: readonly { accepted: boolean }[] } | undefined)?.items?.[0]?.accepted === true;
    const { sentMs, answeredMs } = answer;
    this.scene.facts.others.push({ lease: this.task.lease_no, sentMs, answeredMs, accepted });
  }

  /** Something more under its prefix, after the fact. */
  async stageMore(): Promise<void> {
    for (const place of this.task.staging ?? [])
      await this.#put(place, `${place.prefix}late-${randomBytes(6).toString("hex")}`, randomBytes(50));
  }

  /** Stores other bytes under a key that is taken. */
  async overwrite(): Promise<void> {
    if (this.stored.length === 0) return;
    const key = this.#random.pick(this.stored);
    const status = await this.scene.objects.put(key, randomBytes(40));
    this.scene.tally.add("keys written again");
    if (status !== 412)
      this.scene.verdict.add("overwritten", key, "was stored again", `the store answered ${status}, not 412`);
  }

  #fingerprint({ dataset, previous }: Place): string | undefined {
    if (!this.scene.sets.some(({ fingerprinted }) => fingerprinted === dataset)) return undefined;
    if (previous !== undefined && this.#random.chance(0.25)) return previous.fingerprint;
    return sha256Of(randomBytes(16));
  }

  async #files(place: Place): Promise<StagedFile[]> {
    const whole = this.scene.sets.some(({ shapes }) =>
      shapes.some(([name, shape]) => name === place.dataset && shape.whole),
    );
    const files: StagedFile[] = [];
    // Keys come and go; now and then none is left.
    const wanted = this.#random.chance(0.06)
      ? []
      : this.#random.shuffle(months).slice(0, this.#random.integer(1, months.length));
    const partitions = whole
      ? wanted
      : Array.from({ length: this.#random.integer(1, 3) }, () => this.task.partition ?? "");
    for (const [index, partition] of partitions.entries()) {
      const key = `${place.prefix}file-${index}-${randomBytes(4).toString("hex")}.bin`;
      const text = `${this.task.lease_no} ${key} ${randomBytes(this.#random.integer(20, 400)).toString("base64")}`;
      const bytes = Buffer.from(text);
      await this.#put(place, key, bytes);
      files.push({ key, sha256: sha256Of(bytes), bytes: bytes.length, rows: this.#random.integer(0, 9), partition });
    }
    return files;
  }

  #manifest(place: Place, files: readonly StagedFile[], fingerprint: string | undefined): Manifest {
    const whole = this.scene.sets.some(({ shapes }) =>
      shapes.some(([name, shape]) => name === place.dataset && shape.whole),
    );
    return {
      format: "trace-manifest-1",
      dataset: place.dataset,
      task_id: this.task.task_id,
      lease_no: this.task.lease_no,
      partition: whole ? null : (this.task.partition ?? null),
      schema: [{ name: "row", type: "VARCHAR" }],
      rows: files.reduce((sum, file) => sum + file.rows, 0),
      bytes: files.reduce((sum, file) => sum + file.bytes, 0),
      files: files.map(({ key, bytes, rows, sha256, partition }) => ({
        key,
        bytes,
        rows,
        sha256,
        columns: [],
        ...(whole ? { partition } : {}),
      })),
      ...(fingerprint === undefined ? {} : { fingerprint }),
    };
  }

  #twisted(manifest: Manifest, lie: Lie, place: Place): Manifest {
    const told = structuredClone(manifest);
    const [file] = told.files;
    if (lie === "another lease" || file === undefined) told.lease_no += 1;
    else if (lie === "rows") told.rows += 1;
    else if (lie === "size") {
      file.bytes += 1;
      told.bytes += 1;
    } else if (lie === "checksum") file.sha256 = sha256Of(Buffer.from(file.key));
    else if (lie === "another's file") file.key = this.#anothers(place) ?? `${place.prefix}../a/x`;
    else if (lie === "a file outside") file.key = `d/${file.key}`;
    else if (lie === "dots") file.key = `${place.prefix}../${file.key.slice(place.prefix.length)}`;
    else if (lie === "no such file") file.key = `${file.key}.gone`;
    return told;
  }

  /** A file that another attempt published. */
  #anothers({ prefix }: Place): string | undefined {
    const ends = this.scene.facts.ends.slice(-50).filter((end) => end.accepted);
    const keys = ends.flatMap((end) => [...end.contents.values()].flatMap(({ files }) => files.map(({ key }) => key)));
    return keys.find((key) => !key.startsWith(prefix));
  }

  async #put({ dataset }: Place, key: string, bytes: Uint8Array): Promise<void> {
    this.scene.facts.stored.set(key, { lease: this.task.lease_no, dataset });
    // A key of its own: where it exists already, an answer was lost.
    await this.scene.objects.put(key, bytes);
    this.stored.push(key);
    this.scene.tally.add("objects stored");
  }
}

function key_(key: string): Buffer {
  return Buffer.from(key);
}
