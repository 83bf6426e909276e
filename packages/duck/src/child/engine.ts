/**
 * One DuckDB instance with one connection, opened with everything off that a query does not need, then locked. Opening
 * is done before a request is known, so that a prewarmed process has paid for it.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type DuckDBConnection, DuckDBInstance, type DuckDBResult } from "@duckdb/node-api";
import {
  expressionDepthMax,
  partitionFlushRows,
  partitionOpenMax,
  rowGroupBytes,
  rowGroupRowsMin,
  streamBufferBytes,
} from "../limits.ts";
import type { ChildSettings } from "../messages.ts";
import type { DuckColumn } from "../types.ts";
import { globPath, literals } from "./quote.ts";

/** The lock did not hold when it was read back. Never expected; nothing may run then. */
export class LockFailed extends Error {}

export class Engine {
  /** Private to this process, removed with it. */
  readonly folder: string;
  readonly #connection: DuckDBConnection;
  readonly #spillFolder: string;

  private constructor(connection: DuckDBConnection, folder: string, spillFolder: string) {
    this.#connection = connection;
    this.folder = folder;
    this.#spillFolder = spillFolder;
  }

  static async open(settings: ChildSettings): Promise<Engine> {
    const spillFolder = join(settings.folder, "spill");
    mkdirSync(spillFolder, { mode: 0o700 });
    const instance = await DuckDBInstance.create(":memory:", {
      threads: String(settings.threads),
      memory_limit: `${settings.memoryBytes}B`,
      // DuckDB adds this folder to what may be read and written under lock, hence one of its own per process.
      temp_directory: spillFolder,
      max_temp_directory_size: `${settings.spillBytesMax}B`,
      home_directory: settings.folder,
      autoinstall_known_extensions: "false",
      autoload_known_extensions: "false",
      allow_community_extensions: "false",
      allow_unsigned_extensions: "false",
      allow_persistent_secrets: "false",
      allow_unredacted_secrets: "false",
      enable_external_file_cache: "false",
      max_expression_depth: String(expressionDepthMax),
    });
    const engine = new Engine(await instance.connect(), settings.folder, spillFolder);
    await engine.rows("SET TimeZone = 'UTC'");
    // DuckDB counts a text as 16 bytes here, whatever its length: its default lets some forty chunks pile up.
    await engine.rows(`SET streaming_buffer_size = '${streamBufferBytes}B'`);
    // Lets DuckDB count its progress; nothing is printed, and standard output is /dev/null besides.
    await engine.rows("SET enable_progress_bar = true");
    await engine.rows("SET enable_progress_bar_print = false");
    return engine;
  }

  /** Runs one of the service's own statements; all rows, as text or null. */
  async rows(sql: string, values: string[] = []): Promise<Record<string, string | null>[]> {
    const reader = await this.#connection.runAndReadAll(sql, values);
    const names = reader.columnNames();
    return reader.getRows().map((row) => {
      const entries = row.map((value, index) => [names[index] ?? "", value === null ? null : String(value)] as const);
      return Object.fromEntries(entries);
    });
  }

  async describe(query: string): Promise<DuckColumn[]> {
    const found = await this.rows(`DESCRIBE ${query}`);
    return found.map((row) => ({ name: row.column_name ?? "", type: row.column_type ?? "" }));
  }

  /** Streams one statement; refuses text that holds several. */
  async stream(sql: string): Promise<DuckDBResult> {
    const statements = await this.#connection.extractStatements(sql);
    if (statements.count !== 1) throw new LockFailed(`regenerated SQL holds ${statements.count} statements`);
    return this.#connection.stream(sql);
  }

  /** Ends the running statement with an error. */
  interrupt(): void {
    this.#connection.interrupt();
  }

  /** Percent of the running statement, where DuckDB knows it. */
  percent(): number | undefined {
    const { percentage } = this.#connection.progress;
    return percentage >= 0 ? Math.min(100, percentage) : undefined;
  }

  /** What a thread holds back of partitions before it writes them, by what rows weigh. To be called before the lock. */
  async boundPartitions(rowBytes: number, columns: number): Promise<void> {
    const fits = Math.floor(rowGroupBytes / Math.max(rowBytes, columns * 8, 1));
    const rows = Math.min(partitionFlushRows, Math.max(rowGroupRowsMin, fits));
    await this.rows(`SET partitioned_write_flush_threshold = ${rows}`);
    await this.rows(`SET partitioned_write_max_open_files = ${partitionOpenMax}`);
  }

  /**
   * The one-way door: from here on exactly `files` can be read and only `folders` written, and no setting can be changed.
   * Reads the settings back and throws `LockFailed` when one of them does not say so.
   */
  async lock(files: readonly string[], folders: readonly string[]): Promise<void> {
    // A path that needs its wildcards made literal is asked for in that form first, and then as itself.
    const paths = new Set(files.flatMap((file) => [file, globPath(file)]));
    await this.rows(`SET allowed_paths = ${literals([...paths])}`);
    await this.rows(`SET allowed_directories = ${literals(folders)}`);
    await this.rows("SET enable_external_access = false");
    await this.rows("SET lock_configuration = true");
    const [state] = await this.rows(`SELECT current_setting('enable_external_access')::VARCHAR AS access,
      current_setting('lock_configuration')::VARCHAR AS locked,
      to_json(current_setting('allowed_directories')) AS folders, len(current_setting('allowed_paths')) AS paths`);
    const expected = [this.#spillFolder, ...folders].map((path) => path.replace(/\/*$/, "/"));
    const actual = (JSON.parse(state?.folders ?? "[]") as string[]).map((path) => path.replace(/\/*$/, "/"));
    const foldersHold = actual.every((path) => expected.includes(path));
    const pathsHold = Number(state?.paths) === paths.size;
    if (state?.access !== "false" || state.locked !== "true" || !foldersHold || !pathsHold) {
      throw new LockFailed(
        `access ${state?.access}, locked ${state?.locked}, folders ${state?.folders}, paths ${state?.paths}`,
      );
    }
    await this.rows("SET memory_limit = '1TB'").then(
      () => {
        throw new LockFailed("a setting could be changed after the lock");
      },
      (error: unknown) => {
        // Being refused is the proof asked for; anything else is a broken lock.
        if (!(error instanceof Error && error.message.includes("locked"))) throw error;
      },
    );
  }
}
