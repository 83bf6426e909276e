/**
 * Objects on disk: written once into a temporary file, then moved into place in one step; read through an open handle.
 *
 * `root/tmp/` holds uploads in flight and is emptied at start; `root/uploads/` holds parts of multipart uploads;
 * `root/b/<bucket>/` holds what was answered 200. All are one file system, so that link and rename are atomic. One
 * process owns the root (the supervisor's lock sees to it); within it, the last step of writes and deletes of one key is
 * serialised here.
 */
import { randomBytes } from "node:crypto";
import { link, mkdir, open, readdir, rename, rm, rmdir, stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { TraceError } from "@trace/contracts";
import { TestSignal } from "@trace/kit";
import { placeTriesMax } from "../limits.ts";
import { errno, syncFolder } from "./disk.ts";
import { S3Error } from "./errors.ts";
import { keyToNames } from "./keypath.ts";
import { type OpenObject, openObject } from "./objectfile.ts";
import { Turns } from "./turns.ts";
import { Upload } from "./upload.ts";
import { UploadStore } from "./uploadstore.ts";

/** When a write may happen. ETags are without quotes. */
export interface WriteCondition {
  /** `If-None-Match: *`: only if the key does not exist. */
  readonly absent: boolean;
  /** `If-Match`: only if the object has one of these ETags. */
  readonly etags: readonly string[] | undefined;
}

export const unconditional: WriteCondition = { absent: false, etags: undefined };

export class ObjectStore {
  readonly #root: string;
  readonly #buckets: readonly string[];
  readonly #turns = new Turns();
  /** Multipart uploads that are not completed. */
  readonly uploads: UploadStore;
  /** Bytes that an upload in flight has on disk: lets a test act in the middle of one. */
  readonly uploadStarted = new TestSignal<string>("upload started");

  constructor(root: string, buckets: readonly string[]) {
    this.#root = root;
    this.#buckets = buckets;
    this.uploads = new UploadStore(join(root, "uploads"), () => this.temporaryPath());
  }

  /** Makes the folders and removes what uploads of an earlier life left. Throws TR-6104 when the root is not usable. */
  async prepare(): Promise<void> {
    try {
      await mkdir(this.#tmp(), { recursive: true, mode: 0o700 });
      for (const name of await readdir(this.#tmp()))
        await rm(join(this.#tmp(), name), { recursive: true, force: true });
      await this.uploads.prepare();
      for (const bucket of this.#buckets) await this.#makeFolder(this.bucketFolder(bucket));
    } catch (cause) {
      throw new TraceError("TR-6104", {
        detail: `The folder of the embedded object store cannot be used: ${errno(cause) ?? "unknown failure"}.`,
        where: this.#root,
        why: "The store must be able to create, link and remove files there.",
        fix: `Make the folder writable for this user (ls -ld '${this.#root}'), or configure another state folder.`,
        cause,
      });
    }
  }

  bucketFolder(bucket: string): string {
    return join(this.#root, "b", bucket);
  }

  pathOf(bucket: string, key: string): string {
    return join(this.bucketFolder(bucket), ...keyToNames(key));
  }

  #tmp(): string {
    return join(this.#root, "tmp");
  }

  /** A name that the next start removes, on the file system of the objects. */
  temporaryPath(): string {
    return join(this.#tmp(), randomBytes(16).toString("hex"));
  }

  async startUpload(): Promise<Upload> {
    const path = this.temporaryPath();
    const upload = new Upload(await open(path, "wx", 0o600), path);
    this.uploadStarted.emit(path);
    return upload;
  }

  /** Moves a sealed upload into place, durably. Throws PreconditionFailed or NoSuchKey as the condition asks. */
  async place(upload: Upload, bucket: string, key: string, condition: WriteCondition): Promise<void> {
    const path = this.pathOf(bucket, key);
    await this.#turns.run(path, async () => {
      await this.#requireCondition(path, key, condition);
      for (let tries = 1; ; tries += 1) {
        try {
          if (condition.absent) await link(upload.path, path);
          else {
            await rename(upload.path, path);
            upload.moved();
          }
          break;
        } catch (error) {
          // link() is what decides `If-None-Match: *`: the kernel lets exactly one name come into being.
          if (condition.absent && errno(error) === "EEXIST") throw preconditionFailed("If-None-Match");
          // The folder is missing: new, or a delete just pruned it, perhaps again after our mkdir.
          if (errno(error) !== "ENOENT" || tries === placeTriesMax) throw error;
          await this.#makeFolder(dirname(path));
        }
      }
      await syncFolder(dirname(path));
    });
  }

  /** Undefined when there is no such object. Close the handle of what is returned. */
  async open(bucket: string, key: string): Promise<OpenObject | undefined> {
    try {
      return await openObject(this.pathOf(bucket, key), key);
    } catch (error) {
      if (errno(error) === "ENOENT") return undefined;
      throw error;
    }
  }

  /** Whether a key exists now; the answer may be old by the time it is used. */
  async exists(bucket: string, key: string): Promise<boolean> {
    try {
      await stat(this.pathOf(bucket, key));
      return true;
    } catch (error) {
      if (errno(error) === "ENOENT") return false;
      throw error;
    }
  }

  /** Idempotent. Folders that became empty go too, so that listings do not walk the dead. */
  async delete(bucket: string, key: string, condition: WriteCondition): Promise<void> {
    const path = this.pathOf(bucket, key);
    await this.#turns.run(path, async () => {
      await this.#requireCondition(path, key, condition);
      try {
        await unlink(path);
      } catch (error) {
        if (errno(error) === "ENOENT") return;
        throw error;
      }
      await syncFolder(dirname(path));
      await this.#pruneFolders(dirname(path), this.bucketFolder(bucket));
    });
  }

  async #requireCondition(path: string, key: string, condition: WriteCondition): Promise<void> {
    if (condition.etags === undefined) return;
    let current: OpenObject;
    try {
      current = await openObject(path, key);
    } catch (error) {
      if (errno(error) === "ENOENT") throw new S3Error("NoSuchKey", "The specified key does not exist.");
      throw error;
    }
    await current.handle.close();
    if (!condition.etags.includes(current.etag)) throw preconditionFailed("If-Match");
  }

  /** mkdir -p whose new entries survive a power cut: every parent that gained one is synced. */
  async #makeFolder(folder: string): Promise<void> {
    const first = await mkdir(folder, { recursive: true, mode: 0o700 });
    if (first === undefined) return;
    for (let at = folder; at.length >= first.length; at = dirname(at)) await syncFolder(dirname(at));
  }

  async #pruneFolders(from: string, bucketFolder: string): Promise<void> {
    for (let at = from; at.length > bucketFolder.length; at = dirname(at)) {
      try {
        await rmdir(at);
      } catch (error) {
        // Not empty, or gone already: the folder is in use or somebody else pruned it. Either ends the walk.
        if (["ENOTEMPTY", "EEXIST", "ENOENT"].includes(errno(error) ?? "")) return;
        throw error;
      }
    }
  }
}

export function preconditionFailed(condition: string): S3Error {
  return new S3Error(
    "PreconditionFailed",
    `At least one of the pre-conditions you specified did not hold: ${condition}.`,
  );
}
