/**
 * Postgres for services: a bounded pool, named statements that are prepared once per connection, transactions that are
 * run again when Postgres picks them as a victim. The only importer of `pg`.
 */
import { TraceError } from "@trace/contracts";
import pg from "pg";
import { poolConnectionsMax, poolWaitMs, statementMs, transactionTriesMax } from "../limits.ts";
import type { Log } from "../log.ts";
import type { Service } from "../service.ts";

/** One named SQL statement with the types Postgres gave it (generated from a .sql file). */
export interface Statement<P, R> {
  readonly name: string;
  readonly text: string;
  /** Names of $1, $2, ... in order. */
  readonly params: readonly (keyof P & string)[];
  /** Never there; carries the row type. */
  readonly row?: R;
}

export interface Queryable {
  /** Runs one named statement and returns its rows. */
  query<P, R>(statement: Statement<P, R>, params: P): Promise<R[]>;
}

export interface DatabaseOptions {
  /** `postgres://user@host:port/database`; the password comes in it or beside it. */
  readonly url: string;
  readonly password?: string;
  /** Shown by Postgres as application_name. */
  readonly name: string;
  readonly connectionsMax?: number;
  /** Run-time parameters of every connection, by name. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly log: Log;
}

const types = {
  getTypeParser(oid: number, format?: "text" | "binary") {
    // int8: our numbers stay below 2^53 for longer than anybody lives; a value beyond is a defect and throws.
    if (oid === 20) return parseInt8;
    // int8[]: pg would leave its members texts, which equal no number. int4[] goes the same, faster way.
    if (oid === 1016 || oid === 1007) return parseInt8s;
    return pg.types.getTypeParser(oid as never, format as never) as (value: string) => unknown;
  },
};

function parseInt8(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new Error(`int8 value ${text} does not fit a JavaScript number`);
  return value;
}

/** Members and NULLs of one dimension; numbers need no quotes. */
function parseInt8s(text: string): (number | null)[] {
  if (text === "{}") return [];
  return text
    .slice(1, -1)
    .split(",")
    .map((one) => (one === "NULL" ? null : parseInt8(one)));
}

/** pg lets the URL win over its other options, an empty password of the URL included, so the password goes into it. */
function withPassword(text: string, password: string | undefined): string {
  if (password === undefined) return text;
  const url = new URL(text);
  url.password = encodeURIComponent(password);
  return url.href;
}

const retriedStates = new Set(["40001", "40P01"]);

function sqlState(error: unknown): string | undefined {
  const code = (error as { code?: unknown }).code;
  return typeof code === "string" ? code : undefined;
}

/** True when the error says that Postgres is away or going away, not that the statement is wrong. */
export function isUnavailable(error: unknown): boolean {
  const state = sqlState(error);
  // Of the system (ECONNREFUSED); before the states of SQL, because EPIPE has five letters, too.
  if (state !== undefined && /^E[A-Z]+$/.test(state)) return true;
  if (state !== undefined && /^[0-9A-Z]{5}$/.test(state)) {
    // 25P03: ended by Postgres because it idled in a transaction, as after a stall of ours.
    return state.startsWith("08") || state.startsWith("57P") || state === "53300" || state === "25P03";
  }
  // pg gives these no code; its texts are the only sign there is (pg 8.23, lib/client.js, and pg-pool 3, index.js).
  return /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Client was closed|Query read timeout|Cannot use a pool after calling end)/.test(
    error instanceof Error ? error.message : "",
  );
}

/**
 * States that say "Postgres cannot keep this value", whatever the statement: NUL or half a character in JSON or in a
 * text, a number beyond its type. Services check their input first; this is the net below them.
 */
const unkeepableStates = new Set(["22P05", "22021", "22003"]);

function wrap(error: unknown, statement: string, name: string): Error {
  if (error instanceof TraceError) return error;
  if (isUnavailable(error)) {
    return new TraceError("TR-1009", {
      detail: `Postgres did not answer '${statement}' for ${name}: ${error instanceof Error ? error.message : String(error)}`,
      fix: "it is tried again by itself; 'trace doctor' tells whether Postgres runs",
      cause: error,
    });
  }
  if (unkeepableStates.has(sqlState(error) ?? "")) {
    return new TraceError("TR-1002", {
      detail: "a value of the request cannot be kept by Postgres",
      why: "it holds NUL or half of a character, or a number beyond the range of its field",
      fix: "take it out and send the request again",
      cause: error,
    });
  }
  return error instanceof Error ? error : new Error(String(error));
}

class Connection implements Queryable {
  readonly #client: pg.ClientBase;
  readonly #name: string;

  constructor(client: pg.ClientBase, name: string) {
    this.#client = client;
    this.#name = name;
  }

  async query<P, R>(statement: Statement<P, R>, params: P): Promise<R[]> {
    const values = statement.params.map((name) => params[name]);
    try {
      const result = await this.#client.query({ name: statement.name, text: statement.text, values });
      return result.rows as R[];
    } catch (error) {
      throw wrap(error, statement.name, this.#name);
    }
  }
}

/** As Postgres takes parameters in a start-up packet: `-c name=value`, blanks escaped. */
function commandLine(settings: Readonly<Record<string, string>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value.replace(/[\\\s]/g, "\\$&")}`)
    .join(" ");
}

export class Database implements Service, Queryable {
  readonly #pool: pg.Pool;
  readonly #name: string;
  #ended: Promise<void> | undefined;

  constructor(options: DatabaseOptions) {
    this.#name = options.name;
    this.#pool = new pg.Pool({
      connectionString: withPassword(options.url, options.password),
      application_name: options.name,
      ...(options.settings === undefined ? {} : { options: commandLine(options.settings) }),
      max: options.connectionsMax ?? poolConnectionsMax,
      connectionTimeoutMillis: poolWaitMs,
      idleTimeoutMillis: 30_000,
      statement_timeout: statementMs,
      query_timeout: statementMs + 5_000,
      idle_in_transaction_session_timeout: 10_000,
      keepAlive: true,
      types,
    });
    // A connection that Postgres ends while it is checked out says so by an event as well as by the failing query; without
    // a listener Node would end the process.
    this.#pool.on("connect", (client) =>
      client.on("error", (error) => options.log.debug({ error }, "a Postgres connection ended")),
    );
    // An idle connection that Postgres drops is replaced by the pool at the next use; here it is only worth a line.
    this.#pool.on("error", (error) => options.log.warn({ error }, "an idle Postgres connection ended"));
  }

  async start(): Promise<void> {
    await this.raw("select 1", []);
  }

  async stop(): Promise<void> {
    this.#ended ??= this.#pool.end();
    await this.#ended;
  }

  async query<P, R>(statement: Statement<P, R>, params: P): Promise<R[]> {
    const values = statement.params.map((name) => params[name]);
    try {
      const result = await this.#pool.query({ name: statement.name, text: statement.text, values });
      return result.rows as R[];
    } catch (error) {
      throw wrap(error, statement.name, this.#name);
    }
  }

  /** Unnamed text with its own transaction rules: migrations, tests and set-up only. */
  async raw<R = Record<string, unknown>>(text: string, values: readonly unknown[] = []): Promise<R[]> {
    try {
      // Without values the simple protocol is used, which takes several statements at once.
      const result = await (values.length === 0 ? this.#pool.query(text) : this.#pool.query(text, [...values]));
      return (Array.isArray(result) ? (result.at(-1)?.rows ?? []) : result.rows) as R[];
    } catch (error) {
      throw wrap(error, "raw", this.#name);
    }
  }

  /**
   * Runs `work` in one READ COMMITTED transaction. A deadlock or serialization victim is run again from the start, so
   * `work` must do nothing outside the database (invariant 2 asks for that anyway).
   */
  async transaction<R>(work: (tx: Queryable) => Promise<R>, begin = "begin"): Promise<R> {
    for (let tries = 1; ; tries += 1) {
      const client = await this.#connect();
      let broken: Error | undefined;
      try {
        await client.query(begin);
        const result = await work(new Connection(client, this.#name));
        await client.query("commit");
        return result;
      } catch (error) {
        broken = await rollback(client);
        const victim = retriedStates.has(sqlState(error) ?? "");
        if (!victim || tries >= transactionTriesMax) throw wrap(error, "transaction", this.#name);
      } finally {
        client.release(broken);
      }
    }
  }

  /** A connection of one's own for session-level locks. The caller must `release` it; an error destroys it. */
  async session(): Promise<{
    db: Queryable;
    raw: (text: string, values?: unknown[]) => Promise<unknown[]>;
    release: (destroy?: boolean) => void;
  }> {
    const client = await this.#connect();
    return {
      db: new Connection(client, this.#name),
      raw: async (text, values = []) => {
        try {
          return (await client.query(text, values)).rows as unknown[];
        } catch (error) {
          throw wrap(error, "session", this.#name);
        }
      },
      release: (destroy = false) => client.release(destroy),
    };
  }

  /**
   * What Postgres says of a statement: the types of its parameters and the names, types and origins of its columns.
   * Used to generate typed statements; the statement is planned, not kept: everything is rolled back.
   */
  async describe(text: string): Promise<{ params: string[]; columns: DescribedColumn[] }> {
    const client = await this.#connect();
    try {
      await client.query("begin");
      await client.query(`prepare trace_describe as ${text}`);
      const params = await client.query<{ params: string[] }>(
        "select parameter_types::text[] as params from pg_prepared_statements where name = 'trace_describe'",
      );
      await client.query("deallocate trace_describe");
      const count = params.rows[0]?.params.length ?? 0;
      const fields = await describeFields(client, text, count);
      await client.query("rollback");
      return { params: params.rows[0]?.params ?? [], columns: fields };
    } finally {
      client.release(true);
    }
  }

  async #connect(): Promise<pg.PoolClient> {
    try {
      return await this.#pool.connect();
    } catch (error) {
      throw wrap(error, "connect", this.#name);
    }
  }
}

export interface DescribedColumn {
  readonly name: string;
  readonly typeOid: number;
  /** 0 when the column is an expression. */
  readonly tableOid: number;
  readonly columnNumber: number;
}

interface RowDescription {
  fields: { name: string; dataTypeID: number; tableID: number; columnID: number }[];
}

/** Postgres sends the row description before it executes, so it arrives even when null parameters make execution fail. */
function describeFields(client: pg.PoolClient, text: string, paramCount: number): Promise<DescribedColumn[]> {
  return new Promise((resolve) => {
    let columns: DescribedColumn[] = [];
    const values = Array.from({ length: paramCount }, () => null);
    // The callback comes with and without an error; the columns are known by then either way.
    const config = { text, values, callback: () => resolve(columns) };
    const query = new pg.Query(config as pg.QueryConfig);
    const hooked = query as unknown as { handleRowDescription(message: RowDescription): void };
    const original = hooked.handleRowDescription.bind(query);
    hooked.handleRowDescription = (message) => {
      columns = message.fields.map((field) => ({
        name: field.name,
        typeOid: field.dataTypeID,
        tableOid: field.tableID,
        columnNumber: field.columnID,
      }));
      original(message);
    };
    client.query(query);
  });
}

/** Returns an error when the connection itself is gone and must not go back to the pool. */
async function rollback(client: pg.PoolClient): Promise<Error | undefined> {
  try {
    await client.query("rollback");
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
