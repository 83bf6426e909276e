/** A reader: resolves datasets at their heads, at commits and at moments, fetches what it was told of, and holds pins. */
import type { SeededRandom } from "../../../faults/random.ts";
import type { Asked } from "../check/facts.ts";
import { fetchedMax, pinnedReads } from "./limits.ts";
import { sha256Of } from "./objects.ts";
import { createPin, dropPin } from "./people.ts";
import { months, regions } from "./plan.ts";
import { type Resolved, resolve, type Scene, wait } from "./scene.ts";

export class Reader {
  readonly #scene: Scene;
  readonly #random: SeededRandom;

  constructor(scene: Scene, random: SeededRandom) {
    this.#scene = scene;
    this.#random = random;
  }

  async run(): Promise<void> {
    const { enough } = this.#scene;
    while (!enough.aborted) {
      if (this.#random.chance(0.2)) await this.#holdPin();
      else await this.#readOnce();
      await wait(this.#scene, this.#random.integer(5, 60));
    }
  }

  async #readOnce(): Promise<void> {
    const asked = this.#asked();
    const resolved = await resolve(this.#scene, asked, this.#random.chance(0.6));
    for (const one of resolved ?? []) await this.#fetch(one);
  }

  #asked(): Asked[] {
    const { datasets, sets } = this.#scene;
    const draw = this.#random.integer(0, 99);
    if (draw < 15) return this.#random.pick(sets).together.map((dataset) => ({ dataset }));
    if (draw < 25) return datasets.map((dataset) => ({ dataset }));
    if (draw < 32) {
      const moment = this.#moment();
      return this.#random.pick(sets).together.map((dataset) => ({ dataset, moment }));
    }
    const dataset = this.#random.pick(datasets);
    if (draw < 50) return [{ dataset, moment: this.#moment() }];
    if (draw < 60) {
      const keys = [...regions, ...months];
      return [{ dataset, partitions: this.#random.shuffle(keys).slice(0, 4) }];
    }
    const head = this.#scene.facts.heads.get(dataset) ?? 0;
    if (draw < 90 && head > 0) return [{ dataset, version: this.#random.integer(Math.max(1, head - 40), head) }];
    return [{ dataset }];
  }

  /** Microseconds, as commit times have them; sometimes exactly that of a commit. */
  #moment(): string {
    const reads = this.#scene.facts.reads.slice(-20).flatMap(({ seen }) => seen ?? []);
    const time = reads.map(({ committedAt }) => committedAt).find((one) => one !== null);
    if (time !== undefined && time !== null && this.#random.chance(0.4)) return time;
    const ago = this.#random.chance(0.3) ? this.#random.integer(0, 50) : this.#random.integer(0, 20_000);
    return new Date(Date.now() - ago)
      .toISOString()
      .replace("Z", `${String(this.#random.integer(0, 999)).padStart(3, "0")}Z`);
  }

  /** Pins a commit, reads it again and again, and lets it go. */
  async #holdPin(): Promise<void> {
    const dataset = this.#random.pick(this.#scene.datasets);
    const head = this.#scene.facts.heads.get(dataset) ?? 0;
    if (head === 0) return;
    const pin = await createPin(this.#scene, dataset, this.#random.integer(Math.max(1, head - 3), head), this.#random);
    if (pin === undefined) return;
    for (let times = 0; times < pinnedReads && !this.#scene.enough.aborted; times += 1) {
      const resolved = await resolve(this.#scene, [{ dataset, version: pin.commit }], true);
      for (const one of resolved ?? []) await this.#fetch(one);
      await wait(this.#scene, this.#random.integer(100, 900));
    }
    // Some are left standing: they hold purges back to the end.
    if (this.#random.chance(0.9)) await dropPin(this.#scene, pin);
  }

  async #fetch({ dataset, commit, files }: Resolved): Promise<void> {
    const { objects, tally, verdict } = this.#scene;
    for (const file of this.#random.shuffle(files).slice(0, fetchedMax)) {
      const bytes = file.url === undefined ? await objects.get(file.key) : await objects.fetch(file.url);
      tally.add("files read");
      const where = `'${dataset}' at commit ${commit}`;
      if (bytes === undefined) verdict.add("bytes", where, `${file.key} was read`, "it is not in the store");
      else if (bytes.length !== file.bytes || sha256Of(bytes) !== file.sha256)
        verdict.add("bytes", where, `${file.key} was read`, "its bytes or their checksum are others");
    }
  }
}
