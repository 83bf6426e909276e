/**
 * A proxy in front of Postgres that cuts connections, all, one, or in the middle of a commit; refuses and swallows
 * new ones for a time; and makes the way there long. See README.md.
 */
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { Service, TestSignal } from "@trace/kit";
import { FaultCounts } from "./counts.ts";
import {
  type Cut,
  checkPostgresFaults,
  noPostgresFaults,
  type PostgresFaultKind,
  type PostgresFaults,
  type PostgresRefusal,
  postgresFaultKinds,
} from "./postgres-faults.ts";
import { PostgresLink } from "./postgres-link.ts";
import { SeededRandom } from "./random.ts";
import { systemTimer, type Timer } from "./timer.ts";

export interface PostgresProxyOptions {
  /** The server behind: `postgres://user:password@host:port/database`. Only host and port matter here. */
  readonly target: string;
  readonly seed: string | number;
  /** 0 chooses a free one. Default 0. */
  readonly port?: number;
  readonly timer?: Timer;
}

const host = "127.0.0.1";
const postgresPort = 5432;

export class PostgresProxy implements Service {
  readonly #options: PostgresProxyOptions;
  readonly #timer: Timer;
  readonly #cuts: SeededRandom;
  readonly #picks: SeededRandom;
  readonly #counts = new FaultCounts<PostgresFaultKind>(postgresFaultKinds);
  readonly #links = new Set<PostgresLink>();
  readonly #refused = new Set<Socket>();
  #faults = noPostgresFaults;
  #refusedUntilMs = 0;
  #blackUntilMs = 0;
  #cancelBlack: (() => void) | undefined;
  #server: Server | undefined;
  #port = 0;

  constructor(options: PostgresProxyOptions) {
    this.#options = options;
    this.#timer = options.timer ?? systemTimer;
    const seed = new SeededRandom(options.seed);
    this.#cuts = seed.fork("cuts");
    this.#picks = seed.fork("picks");
  }

  /** The port in use; 0 before `start`. */
  get port(): number {
    return this.#port;
  }

  /** The URL of the server, of the same user and database, by way of the proxy. Another database's URL may be given. */
  url(target = this.#options.target): string {
    const url = new URL(target);
    url.host = `${host}:${this.#port}`;
    return url.href;
  }

  /** Connections of clients that no fault has cut. */
  get open(): number {
    return this.#openLinks().length;
  }

  /** Emitted each time a fault was performed. */
  get performed(): TestSignal<PostgresFaultKind> {
    return this.#counts.performed;
  }

  async start(): Promise<void> {
    const server = createServer({ allowHalfOpen: true }, (client) => this.#accept(client));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.#options.port ?? 0, host, resolve);
    });
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
  }

  /** Ends every connection. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    this.#cancelBlack?.();
    if (server === undefined) return;
    const closed = new Promise((resolve) => server.close(resolve));
    for (const link of this.#links) link.destroy();
    for (const socket of this.#refused) socket.destroy();
    await closed;
  }

  /** Changes the named settings; the others stay. Throws RangeError when they cannot be. */
  set(faults: Partial<PostgresFaults>): void {
    const next = { ...this.#faults, ...faults };
    checkPostgresFaults(next);
    this.#faults = next;
  }

  /** No more faults, no refusal, no black hole. What was cut stays cut. */
  calm(): void {
    this.#faults = noPostgresFaults;
    this.#refusedUntilMs = 0;
    this.blackHoleUntil(0);
  }

  /** Cuts every connection now; answers with how many there were. */
  cutAll(how: Cut = "rst"): number {
    const links = this.#openLinks();
    for (const link of links) this.#cut(link, how);
    return links.length;
  }

  /** Cuts one connection that chance picks; false when there is none. */
  cutOne(how: Cut = "rst"): boolean {
    const links = this.#openLinks();
    if (links.length === 0) return false;
    this.#cut(this.#picks.pick(links), how);
    return true;
  }

  /** New connections are refused until this instant of the timer; those that are there stay. 0 ends it. */
  refuseUntil(atMs: number): void {
    this.#refusedUntilMs = atMs;
  }

  /**
   * Until this instant of the timer new connections are accepted and nothing is forwarded, on none. Then everything sent
   * meanwhile arrives, also from a client that has given up, as from a network that was away. 0 ends it.
   */
  blackHoleUntil(atMs: number): void {
    this.#blackUntilMs = atMs;
    this.#cancelBlack?.();
    this.#cancelBlack = undefined;
    const links = this.#openLinks();
    if (!this.#isBlack()) {
      for (const link of links) link.flow();
      return;
    }
    for (const link of links) if (link.stall()) this.#counts.add("blackHole");
    if (!Number.isFinite(atMs)) return;
    this.#cancelBlack = this.#timer.after(atMs - this.#timer.nowMs(), () => this.blackHoleUntil(0));
  }

  /** How often each fault was really performed. */
  counts(): Readonly<Record<PostgresFaultKind, number>> {
    return this.#counts.get();
  }

  #openLinks(): PostgresLink[] {
    return [...this.#links].filter((link) => link.open);
  }

  #isBlack(): boolean {
    return this.#timer.nowMs() < this.#blackUntilMs;
  }

  #cut(link: PostgresLink, how: Cut): void {
    link.cut(how);
    this.#counts.add("cut");
  }

  #accept(client: Socket): void {
    if (this.#timer.nowMs() < this.#refusedUntilMs) {
      this.#refuse(client);
      return;
    }
    const { hostname, port } = new URL(this.#options.target);
    const link: PostgresLink = new PostgresLink({
      client,
      server: { host: hostname.replace(/^\[|\]$/g, ""), port: port === "" ? postgresPort : Number(port) },
      faults: () => this.#faults,
      random: this.#cuts,
      counts: this.#counts,
      timer: this.#timer,
      closed: () => this.#links.delete(link),
    });
    this.#links.add(link);
    if (this.#isBlack()) this.#counts.add("blackHole");
    else link.flow();
  }

  #refuse(client: Socket): void {
    const how = this.#picks.pick<PostgresRefusal>(this.#faults.refuseHow);
    if (how === "reset") client.resetAndDestroy();
    else {
      this.#refused.add(client);
      // A client that goes before it is refused is refused all the same.
      client.on("error", () => client.destroy());
      client.on("close", () => this.#refused.delete(client));
      client.on("end", () => client.end());
      client.once("data", () => client.end(startingUp()));
    }
    this.#counts.add("refuse");
  }
}

/** The ErrorResponse of a server that is not ready: fields of a letter and a text each. */
function startingUp(): Buffer {
  const fields = ["SFATAL", "VFATAL", "C57P03", "Mthe database system is starting up"];
  const body = Buffer.from(`${fields.map((field) => `${field}\0`).join("")}\0`);
  const head = Buffer.alloc(5);
  head.write("E", 0, "latin1");
  head.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}
