/**
 * Finds out what a file is by its name and its first bytes, unpacked where it is packed. Types of columns are found by
 * DuckDB in its child; this only decides by which reader.
 */
import { createReadStream, type Stats } from "node:fs";
import { stat } from "node:fs/promises";
import type { Transform } from "node:stream";
import { constants, createGunzip, createZstdDecompress } from "node:zlib";
import { formatOfPath, type IngestSource, TraceError } from "@trace/contracts";
import { sniffBytes } from "../limits.ts";
import { systemReason } from "../state/settings-file.ts";

export interface Sniffed {
  readonly format: IngestSource["format"];
  /** The ending of the name does not tell it. */
  readonly sayFormat: boolean;
}

const parquetMagic = Buffer.from("PAR1");
const gzipMagic = Buffer.from([0x1f, 0x8b]);
const zstdMagic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

/** Throws TR-7014. */
export async function sniff(path: string): Promise<Sniffed> {
  const head = await readHead(path);
  const told = formatOfPath(path);
  const found = told === "parquet" || starts(head, parquetMagic) ? "parquet" : formatOfText(head, told);
  return { format: found, sayFormat: found !== told };
}

/** A name that says CSV is believed; JSON may be GeoJSON; without a name the first character decides. */
function formatOfText(head: Buffer, told: Sniffed["format"] | undefined): Sniffed["format"] {
  const text = head
    .toString("utf8")
    .replace(/^\ufeff/, "")
    .trimStart();
  if (told === "csv" || told === "geojson") return told;
  if (told === undefined && !/^[{[]/.test(text)) return "csv";
  return text.startsWith("{") && /"type"\s*:\s*"FeatureCollection"/.test(text) ? "geojson" : "json";
}

function starts(bytes: Buffer, magic: Buffer): boolean {
  return bytes.subarray(0, magic.length).equals(magic);
}

async function readHead(path: string): Promise<Buffer> {
  const raw = await firstBytes(path);
  if (raw.length === 0) throw unreadable(path, "it is empty");
  // What the first bytes unpack to is given, although the data goes on behind them.
  if (starts(raw, gzipMagic)) return unpacked(raw, createGunzip({ finishFlush: constants.Z_SYNC_FLUSH }));
  if (starts(raw, zstdMagic)) return unpacked(raw, createZstdDecompress({ finishFlush: constants.ZSTD_e_continue }));
  return raw;
}

async function firstBytes(path: string): Promise<Buffer> {
  let found: Stats;
  try {
    // A pipe that nobody writes to would be waited for without end.
    found = await stat(path);
  } catch (error) {
    throw unreadable(path, systemReason(error), error);
  }
  if (!found.isFile()) throw unreadable(path, found.isDirectory() ? "it is a folder" : "it is no plain file");
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of createReadStream(path, { end: sniffBytes - 1 })) chunks.push(chunk as Buffer);
  } catch (error) {
    throw unreadable(path, systemReason(error), error);
  }
  return Buffer.concat(chunks);
}

/** As much as the first bytes unpack to, up to a bound. The packed data ends in its middle, which is no fault here. */
function unpacked(raw: Buffer, unpack: Transform): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const end = (): void => {
      unpack.destroy();
      resolve(Buffer.concat(chunks));
    };
    unpack.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes >= sniffBytes) end();
    });
    unpack.once("end", end);
    // Cut off or damaged: what came before is enough to tell, and DuckDB says what is wrong with the rest.
    unpack.once("error", end);
    unpack.end(raw);
  });
}

function unreadable(path: string, why: string, cause?: unknown): TraceError {
  return new TraceError("TR-7014", {
    detail: "the data file cannot be read",
    where: path,
    why,
    fix: "name a file of CSV, JSON, GeoJSON or Parquet: trace init --from data.csv",
    cause,
  });
}
