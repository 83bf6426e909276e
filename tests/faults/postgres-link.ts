/**
 * One client's connection and the one to the server that stands for it. Reads along to know what is asked and what is
 * answered, and cuts a commit or a statement before, during or after it, when chance says so.
 */
import { Socket } from "node:net";
import type { FaultCounts } from "./counts.ts";
import { Direction } from "./direction.ts";
import {
  type Cut,
  type CutPoint,
  type CutUnit,
  cutPoints,
  type PostgresFaultKind,
  type PostgresFaults,
} from "./postgres-faults.ts";
import {
  asksForEncryption,
  beginsSession,
  kindOfSql,
  MessageReader,
  type SqlKind,
  textsOf,
  type WireMessage,
} from "./postgres-wire.ts";
import type { SeededRandom } from "./random.ts";
import type { Timer } from "./timer.ts";

export interface PostgresLinkOptions {
  readonly client: Socket;
  readonly server: { readonly host: string; readonly port: number };
  readonly faults: () => PostgresFaults;
  readonly random: SeededRandom;
  readonly counts: FaultCounts<PostgresFaultKind>;
  readonly timer: Timer;
  /** Nothing of the link is left. */
  readonly closed: () => void;
}

interface Planned {
  readonly unit: CutUnit;
  readonly point: CutPoint;
  /** The answer that the client will not get, counted from the start of the session. */
  answer?: number;
}

export class PostgresLink {
  readonly #options: PostgresLinkOptions;
  readonly #client: Socket;
  readonly #server = new Socket({ allowHalfOpen: true });
  readonly #toServer: Direction;
  readonly #toClient: Direction;
  readonly #asks = new MessageReader("client", ["Q", "P", "B", "E"]);
  readonly #answers = new MessageReader("server", ["Z"]);
  readonly #statements = new Map<string, SqlKind>();
  readonly #portals = new Map<string, SqlKind>();
  /** "Ready" answers that the server owes, and those that passed. */
  #asked = 0;
  #answered = 0;
  #inTransaction = false;
  /** A control statement since the last Sync: what follows may be in a transaction already. */
  #controlled = false;
  #planned: Planned | undefined;
  #begun = false;
  #connected = false;
  #cut = false;
  #socketsLeft = 2;

  constructor(options: PostgresLinkOptions) {
    this.#options = options;
    this.#client = options.client;
    const { timer, counts, faults } = options;
    this.#toServer = new Direction({
      from: this.#client,
      to: this.#server,
      timer,
      delayMs: () => faults().toServerDelayMs,
      delayed: () => counts.add("delayToServer"),
      pass: (chunk) => this.#passToServer(chunk),
    });
    this.#toClient = new Direction({
      from: this.#server,
      to: this.#client,
      timer,
      delayMs: () => faults().toClientDelayMs,
      delayed: () => counts.add("delayToClient"),
      pass: (chunk) => this.#passToClient(chunk),
    });
    this.#server.once("connect", () => {
      this.#connected = true;
    });
    this.#watch(this.#client, this.#server);
    this.#watch(this.#server, this.#client);
  }

  /** False once a fault has cut it: what is left of it only drains. */
  get open(): boolean {
    return !this.#cut;
  }

  /** Forwards what waits and what comes; the first time, connects to the server. */
  flow(): void {
    if (!this.#begun) this.#server.connect(this.#options.server);
    this.#begun = true;
    this.#toServer.flow();
    this.#toClient.flow();
  }

  /** Forwards nothing; both sides stay connected. False when it was so already. */
  stall(): boolean {
    const [first, second] = [this.#toServer.stall(), this.#toClient.stall()];
    return first || second;
  }

  cut(how: Cut): void {
    this.#stop();
    if (how === "rst") this.#client.resetAndDestroy();
    else this.#client.end();
    if (how === "fin" && this.#begun) this.#server.end();
    else this.#breakOff(this.#server);
  }

  destroy(): void {
    this.#stop();
    this.#client.destroy();
    this.#server.destroy();
  }

  #watch(socket: Socket, other: Socket): void {
    socket.setNoDelay(true);
    socket.on("error", () => {
      // Broken off on one side, and so on the other, where whoever is there tells what it means.
      if (socket === this.#server && !this.#connected) this.#options.counts.add("serverAway");
      this.#stop();
      this.#breakOff(other);
    });
    socket.on("close", () => {
      this.#socketsLeft -= 1;
      if (this.#socketsLeft === 0) this.#options.closed();
    });
  }

  #breakOff(socket: Socket): void {
    // One that was never to be connected has no peer to tell; one on its way is broken off when it is there.
    if (socket === this.#server && !this.#begun) socket.destroy();
    else socket.resetAndDestroy();
  }

  #stop(): void {
    this.#cut = true;
    this.#toServer.stop();
    this.#toClient.stop();
  }

  #passToServer(chunk: Buffer): void {
    for (const message of this.#asks.read(chunk)) {
      this.#readAsk(message);
      if (this.#planned?.point !== "Before") continue;
      // Its last byte is in this chunk, so without the chunk the server has nothing whole to execute.
      this.#perform(this.#planned);
      return;
    }
    this.#toServer.write(chunk);
    const planned = this.#planned;
    if (planned?.point === "During" && planned.answer !== undefined) this.#perform(planned);
  }

  #passToClient(chunk: Buffer): void {
    const answer = this.#planned?.answer;
    // What answers earlier questions still goes through.
    let forwarded = answer === undefined || this.#answered < answer - 1 ? chunk.length : 0;
    for (const message of this.#answers.read(chunk)) {
      if (message.type !== "Z") continue;
      this.#answered += 1;
      this.#inTransaction = message.body[0] !== 0x49; // "I": idle
      if (answer === undefined) continue;
      if (this.#answered === answer - 1) forwarded = message.end;
      if (this.#answered === answer) {
        this.#withheld();
        return;
      }
    }
    this.#toClient.write(chunk.subarray(0, forwarded));
  }

  /** The server has done what was asked, and nobody is told. */
  #withheld(): void {
    if (this.#planned?.point === "After") this.#perform(this.#planned);
    else this.#server.destroy();
  }

  #perform({ point, unit }: Planned): void {
    if (point === "During") {
      this.#cut = true;
      this.#toServer.stop();
      this.#client.resetAndDestroy();
      // It ends before it has answered: there is nothing left to wait for.
      this.#server.once("end", () => this.#server.destroy());
    } else this.cut("rst");
    this.#options.counts.add(`cut${point}${unit}`);
  }

  #readAsk({ type, body }: WireMessage): void {
    switch (type) {
      case "start-up":
        if (asksForEncryption(body)) this.#answers.expectByte();
        if (beginsSession(body)) this.#asked += 1;
        break;
      case "P": {
        const [name = "", sql = ""] = textsOf(body, 2);
        this.#statements.set(name, kindOfSql(sql));
        break;
      }
      case "B": {
        const [portal = "", statement = ""] = textsOf(body, 2);
        this.#portals.set(portal, this.#statements.get(statement) ?? "statement");
        break;
      }
      case "E":
        this.#ask(this.#portals.get(textsOf(body, 1)[0] ?? "") ?? "statement");
        break;
      case "Q":
        this.#ask(kindOfSql(textsOf(body, 1)[0] ?? ""));
        this.#owe();
        break;
      case "S":
      case "F":
        this.#owe();
        break;
      default:
    }
  }

  /** One more "ready" is owed; it is the one that a planned cut waits for. */
  #owe(): void {
    this.#asked += 1;
    this.#controlled = false;
    if (this.#planned !== undefined) this.#planned.answer ??= this.#asked;
  }

  #ask(kind: SqlKind): void {
    const alone = !this.#inTransaction && !this.#controlled && this.#answered === this.#asked;
    if (kind === "control") this.#controlled = true;
    if (this.#planned !== undefined) return;
    if (kind === "commit") this.#plan("Commit");
    else if (kind === "statement" && alone) this.#plan("Statement");
  }

  #plan(unit: CutUnit): void {
    let draw = this.#options.random.next();
    for (const point of cutPoints) {
      draw -= this.#options.faults()[`cut${point}${unit}`];
      if (draw >= 0) continue;
      this.#planned = { unit, point };
      return;
    }
  }
}
