/**
 * The one Postgres server that both sides of a benchmark share, each in a database of its own: the embedded server with
 * everything that makes it durable, and memory as a small real one has.
 */
import { Database, silentLog } from "@trace/kit";
import { EmbeddedPostgres, type StateFolder } from "@trace/localcloud";

const role = "trace_state";

/** What `postgresql.conf` says beyond the product's own settings. `fsync` and the like are named to be seen. */
export const serverSettings = {
  fsync: true,
  synchronous_commit: true,
  full_page_writes: true,
  shared_buffers: "512MB",
  max_connections: 100,
  // Postgres' own default; the product keeps less, to stay small on a laptop.
  max_wal_size: "1GB",
} as const;

/** Where a side of a benchmark finds its database. */
export interface DatabaseAddress {
  readonly url: string;
  readonly password: string;
}

export class BenchPostgres {
  readonly #server: EmbeddedPostgres;
  readonly #password: string;
  readonly #port: number;
  readonly #databases: Database[] = [];
  #admin: Database | undefined;

  private constructor(server: EmbeddedPostgres, port: number, password: string) {
    this.#server = server;
    this.#port = port;
    this.#password = password;
  }

  static async start(folder: StateFolder): Promise<BenchPostgres> {
    const port = await folder.port("postgres", 0);
    const password = folder.secret("postgres-state");
    const server = new EmbeddedPostgres({
      name: "state",
      stateDir: folder.dir,
      id: folder.id,
      port,
      roles: [{ name: role, password, createDatabases: true }],
      settings: serverSettings,
      log: silentLog(),
    });
    await server.start();
    const started = new BenchPostgres(server, port, password);
    started.#admin = started.database(server.database);
    return started;
  }

  /** The postmaster; every session is a child of it. */
  get pid(): number {
    if (this.#server.pid === undefined) throw new Error("Postgres does not run");
    return this.#server.pid;
  }

  /** The database that the server comes with. */
  get ownDatabase(): string {
    return this.#server.database;
  }

  async createDatabase(name: string): Promise<void> {
    await this.#sql(`create database ${name}`);
  }

  /** Whoever is still connected to it is cut off. */
  async dropDatabase(name: string): Promise<void> {
    await this.#sql(`drop database if exists ${name} with (force)`);
  }

  /** The password goes beside the URL where a program takes it so, and into it where it does not. */
  address(database: string): DatabaseAddress & { readonly urlWithPassword: string } {
    const place = `127.0.0.1:${this.#port}/${database}`;
    return {
      url: `postgres://${role}@${place}`,
      password: this.#password,
      urlWithPassword: `postgres://${role}:${encodeURIComponent(this.#password)}@${place}`,
    };
  }

  /** A small pool of our own, for what is done around the timed parts. Ended with the server. */
  database(name: string): Database {
    const { url, password } = this.address(name);
    const database = new Database({ url, password, name: "bench", connectionsMax: 2, log: silentLog() });
    this.#databases.push(database);
    return database;
  }

  /**
   * What CHECKPOINT does, for a role that may not call it: dropping a database begins with an immediate, forced checkpoint
   * (`dropdb` in src/backend/commands/dbcommands.c), so that no round pays for the writes of the one before.
   */
  async checkpoint(): Promise<void> {
    await this.#sql("create database trace_bench_checkpoint template template0");
    await this.#sql("drop database trace_bench_checkpoint");
  }

  /** Bytes of write-ahead log written since the cluster was made. */
  async walBytes(): Promise<number> {
    const [row] = await this.#sql<{ bytes: number }>(
      "select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint as bytes",
    );
    if (row === undefined) throw new Error("Postgres does not tell its WAL position");
    return row.bytes;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#databases.map((database) => database.stop()));
    await this.#server.stop();
  }

  #sql<R>(text: string): Promise<R[]> {
    if (this.#admin === undefined) throw new Error("Postgres is not started");
    return this.#admin.raw<R>(text);
  }
}

/**
 * Holds a REPEATABLE READ transaction open until it is released: as long as it lives, no dead row of its database can be
 * taken away.
 */
export async function holdSnapshot(db: Database): Promise<{ release(): Promise<void> }> {
  const session = await db.session();
  // What ends forgotten transactions would end this one, too.
  await session.raw("set idle_in_transaction_session_timeout = 0");
  await session.raw("begin isolation level repeatable read");
  await session.raw("select count(*) from pg_class"); // The snapshot is taken by the first statement, not by BEGIN.
  return {
    release: async () => {
      await session.raw("rollback");
      session.release(true);
    },
  };
}
