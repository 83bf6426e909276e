/** Commits that somebody wants to go on reading: while a pin stands, no purge takes its commit away. */
import { type Pin, pinSchema, TraceError } from "@trace/contracts";
import { type Database, newId } from "@trace/kit";
import type { Caller } from "./actions.ts";
import { pinsMax, pinsShownMax } from "./limits.ts";
import { noCommit, noDataset, noGeneration, purged } from "./resolve.ts";
import { addPin, dropPin, findCommit, findGeneration, holdGeneration, listPins } from "./sql/statements.gen.ts";

export interface PinRequest {
  readonly dataset: string;
  readonly commit?: number | undefined;
  readonly generation?: number | undefined;
  readonly holder?: string | undefined;
  readonly expires_at?: string | undefined;
}

export class Pins {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** The head unless a commit is named. Looked at and pinned under one lock, which a purge has to wait for. */
  async create(caller: Caller, request: PinRequest): Promise<Pin> {
    const { dataset, generation, expires_at } = request;
    const [found] = await this.#db.query(findGeneration, {
      org_id: caller.orgId,
      name: dataset,
      generation: generation ?? null,
    });
    if (found === undefined) throw noDataset(dataset);
    const { generation_id: id, number } = found;
    if (id === null || number === null) throw noGeneration(dataset, generation);
    return this.#db.transaction(async (tx) => {
      const [held] = await tx.query(holdGeneration, { generation_id: id });
      const commit = request.commit ?? held?.head_commit ?? 0;
      if (commit === 0) throw nothingYet(dataset);
      const [row] = await tx.query(findCommit, { generation_id: id, commit_no: commit });
      if (row === undefined) throw noCommit(dataset, `${commit}: its head is ${held?.head_commit}`);
      if (row.purged) throw purged(dataset, commit);
      const holder = request.holder ?? caller.name;
      const [pin] = await tx.query(addPin, {
        public_id: newId(),
        org_id: caller.orgId,
        holder,
        generation_id: id,
        commit_no: commit,
        expires_at: expires_at ?? null,
        actor: caller.name,
        pins_max: pinsMax,
      });
      if (pin?.over === true) throw overAlready(expires_at);
      if (pin === undefined || pin.public_id === null || pin.created_at === null) throw tooManyPins();
      const { public_id, created_at, expires_at: ends } = pin;
      return pinOf({ public_id, created_at, expires_at: ends, name: dataset, number, commit_no: commit, holder });
    });
  }

  async list(orgId: number, name: string | undefined): Promise<Pin[]> {
    const rows = await this.#db.query(listPins, { org_id: orgId, name: name ?? null, limit: pinsShownMax });
    return rows.map(pinOf);
  }

  async drop(caller: Caller, pinId: string): Promise<void> {
    const [gone] = await this.#db.query(dropPin, { org_id: caller.orgId, public_id: pinId, actor: caller.name });
    if (gone !== undefined) return;
    throw new TraceError("TR-1006", {
      detail: `there is no pin ${pinId}`,
      fix: "'trace dataset pins' shows the pins there are",
    });
  }
}

function pinOf(row: {
  public_id: string;
  name: string;
  number: number;
  commit_no: number;
  holder: string;
  created_at: Date;
  expires_at: Date | null;
}): Pin {
  return pinSchema.parse({
    pin_id: row.public_id,
    dataset: row.name,
    generation: row.number,
    commit: row.commit_no,
    holder: row.holder,
    created_at: row.created_at.toISOString(),
    expires_at: row.expires_at?.toISOString() ?? null,
  });
}

function overAlready(expiresAt: string | undefined): TraceError {
  return new TraceError("TR-1002", {
    detail: `a pin until ${expiresAt} would be over already`,
    where: "body.expires_at",
    fix: "name a time that is still to come, or leave it away; times are compared with the database's clock",
  });
}

function nothingYet(dataset: string): TraceError {
  return new TraceError("TR-4012", {
    detail: `dataset '${dataset}' has no commit yet`,
    fix: "pin a commit once there is one: 'trace run DAG'",
  });
}

function tooManyPins(): TraceError {
  return new TraceError("TR-4028", {
    detail: `there are ${pinsMax} pins, and as many there may be`,
    fix: "take away those that nobody needs, or let pins expire: 'trace dataset pins', 'trace dataset unpin PIN'",
  });
}
