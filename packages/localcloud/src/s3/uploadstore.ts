/**
 * Multipart uploads that are not completed: one folder each, with what the object will be and the parts that came.
 *
 * A folder appears whole and disappears whole, by a rename; a part is a sealed file of its own, moved in. So what is here
 * after a crash is what was answered 200, and nothing of it is an object. An upload that nobody completes or aborts is
 * removed when its time is over.
 */
import { randomBytes } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { TraceError } from "@trace/contracts";
import { openUploadsMax, uploadLifeMsMax } from "../limits.ts";
import type { ChecksumAlgorithm, ChecksumType } from "./checksum.ts";
import { errno, syncFolder } from "./disk.ts";
import { S3Error } from "./errors.ts";
import { type ObjectDescription, type OpenObject, openObject } from "./objectfile.ts";
import { Turns } from "./turns.ts";
import type { Upload } from "./upload.ts";

export interface MultipartUpload {
  readonly id: string;
  readonly bucket: string;
  readonly initiatedMs: number;
  /** The object to be, without checksum and parts. */
  readonly description: ObjectDescription;
  readonly checksum: { readonly algorithm: ChecksumAlgorithm; readonly type: ChecksumType } | undefined;
}

const stateFile = "upload.json";
/** Milliseconds since the epoch in 12 hex digits, so that age and order show, then 128 random bits. */
const idForm = /^[0-9a-f]{12}[0-9a-f]{32}$/;

function startedMs(id: string): number {
  return Number.parseInt(id.slice(0, 12), 16);
}

export function noSuchUpload(): S3Error {
  return new S3Error(
    "NoSuchUpload",
    "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
  );
}

export function checksumMismatch(upload: MultipartUpload, given: ChecksumAlgorithm): S3Error {
  return new S3Error(
    "InvalidRequest",
    `Checksum Type mismatch occurred, expected checksum Type: ${upload.checksum?.algorithm ?? "null"}, ` +
      `actual checksum Type: ${given}`,
  );
}

export class UploadStore {
  readonly #folder: string;
  readonly #temporaryPath: () => string;
  readonly #turns = new Turns();

  /** `temporaryPath` gives names on the same file system that the next start removes. */
  constructor(folder: string, temporaryPath: () => string) {
    this.#folder = folder;
    this.#temporaryPath = temporaryPath;
  }

  async prepare(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
  }

  /** Steps on one upload, one after the other: no part comes or goes while an object is put together. */
  inTurn<T>(id: string, step: () => Promise<T>): Promise<T> {
    return this.#turns.run(id, step);
  }

  async create(upload: Omit<MultipartUpload, "id">): Promise<MultipartUpload> {
    const open = await this.#removeExpired(upload.initiatedMs);
    if (open >= openUploadsMax) {
      throw new S3Error("SlowDown", `There are ${open} multipart uploads open already. Complete or abort some.`);
    }
    const id = `${upload.initiatedMs.toString(16).padStart(12, "0")}${randomBytes(16).toString("hex")}`;
    const created = { id, ...upload };
    const draft = this.#temporaryPath();
    await mkdir(draft, { mode: 0o700 });
    try {
      await writeDurably(join(draft, stateFile), JSON.stringify(created));
      await syncFolder(draft);
      await rename(draft, join(this.#folder, id));
    } catch (error) {
      await rm(draft, { recursive: true, force: true });
      throw error;
    }
    await syncFolder(this.#folder);
    return created;
  }

  /** Throws NoSuchUpload when there is none of this id for this bucket and key. */
  async find(bucket: string, key: string, id: string): Promise<MultipartUpload> {
    const upload = idForm.test(id) ? await this.#read(id) : undefined;
    if (upload?.bucket !== bucket || upload.description.key !== key) throw noSuchUpload();
    return upload;
  }

  /** Uploads of a bucket, ordered by key (bytes of UTF-8) and then by time. */
  async list(bucket: string): Promise<MultipartUpload[]> {
    const found: MultipartUpload[] = [];
    for (const id of await this.#ids()) {
      const upload = await this.#read(id);
      if (upload?.bucket === bucket) found.push(upload);
    }
    return found.sort(
      (a, b) =>
        Buffer.compare(Buffer.from(a.description.key), Buffer.from(b.description.key)) || (a.id < b.id ? -1 : 1),
    );
  }

  /** Moves a sealed part into its upload, durably; it replaces an earlier part of its number. */
  async placePart(upload: MultipartUpload, number: number, part: Upload): Promise<void> {
    await this.inTurn(upload.id, async () => {
      try {
        await rename(part.path, this.partPath(upload, number));
      } catch (error) {
        // Completed or aborted meanwhile: the folder is gone.
        if (errno(error) === "ENOENT") throw noSuchUpload();
        throw error;
      }
      part.moved();
      await syncFolder(join(this.#folder, upload.id));
    });
  }

  /** Ascending. */
  async partNumbers(upload: MultipartUpload): Promise<number[]> {
    let names: string[];
    try {
      names = await readdir(join(this.#folder, upload.id));
    } catch (error) {
      if (errno(error) === "ENOENT") throw noSuchUpload();
      throw error;
    }
    const numbers = names.filter((name) => /^p\d{5}$/.test(name)).map((name) => Number(name.slice(1)));
    return numbers.sort((a, b) => a - b);
  }

  /** Undefined when no such part came. Close the handle of what is returned. */
  async openPart(upload: MultipartUpload, number: number): Promise<OpenObject | undefined> {
    try {
      return await openObject(this.partPath(upload, number), upload.description.key);
    } catch (error) {
      if (errno(error) === "ENOENT") return undefined;
      throw error;
    }
  }

  /** To be called in turn. What is left of the folder after a crash has a name that the next start removes. */
  async remove(id: string): Promise<void> {
    const grave = this.#temporaryPath();
    try {
      await rename(join(this.#folder, id), grave);
    } catch (error) {
      if (errno(error) === "ENOENT") throw noSuchUpload();
      throw error;
    }
    await syncFolder(this.#folder);
    await rm(grave, { recursive: true, force: true });
  }

  partPath(upload: MultipartUpload, number: number): string {
    return join(this.#folder, upload.id, `p${String(number).padStart(5, "0")}`);
  }

  async #ids(): Promise<string[]> {
    return (await readdir(this.#folder)).filter((name) => idForm.test(name));
  }

  /** Returns how many are left. */
  async #removeExpired(nowMs: number): Promise<number> {
    const ids = await this.#ids();
    const expired = ids.filter((id) => startedMs(id) + uploadLifeMsMax < nowMs);
    for (const id of expired) {
      await this.inTurn(id, async () => {
        try {
          await this.remove(id);
        } catch (error) {
          // Somebody completed or aborted it in its last moment.
          if (!(error instanceof S3Error && error.code === "NoSuchUpload")) throw error;
        }
      });
    }
    return ids.length - expired.length;
  }

  async #read(id: string): Promise<MultipartUpload | undefined> {
    const path = join(this.#folder, id, stateFile);
    let text: string;
    try {
      text = await readFile(path, "utf8");
    } catch (error) {
      if (errno(error) === "ENOENT") return undefined;
      throw error;
    }
    try {
      const upload = JSON.parse(text) as MultipartUpload;
      if (upload.id === id) return upload;
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
    throw new TraceError("TR-6105", {
      detail: "A multipart upload cannot be read: its description is not what was written.",
      where: path,
      why: "The file was changed, cut or replaced by something other than the object store, or the disk lost it.",
      fix: "Remove the folder of the upload and upload the object again.",
    });
  }
}

async function writeDurably(path: string, text: string): Promise<void> {
  const handle = await open(path, "wx", 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
