/**
 * Footers of stored files, read without believing them: the last bytes are fetched by ranged GETs of the version that was
 * checked, and a child takes them apart. Whatever becomes of that child, the footer is answered for once.
 */
import { TraceError } from "@trace/contracts";
import type { Log, ObjectHead, ObjectStore, Service } from "@trace/kit";
import type { FooterAnswer } from "./facts.ts";
import { footerBytesMax, footerChildIdleMs, footerChildrenMax, footerDeadlineMs, footerTailBytes } from "./limits.ts";
import { ChildGone, FooterProcess } from "./process.ts";

/** At the end of each file: four bytes of the metadata's length, and the magic. */
const trailerBytes = 8;

export interface FooterReaderOptions {
  readonly store: Pick<ObjectStore, "range">;
  readonly log: Log;
  readonly deadlineMs?: number;
}

export class FooterReader implements Service {
  readonly #options: FooterReaderOptions;
  readonly #idle = new Map<FooterProcess, NodeJS.Timeout>();
  readonly #alive = new Set<FooterProcess>();
  readonly #waiting: (() => void)[] = [];
  #busy = 0;
  #stopped = false;

  constructor(options: FooterReaderOptions) {
    this.#options = options;
  }

  start(): Promise<void> {
    this.#stopped = false;
    return Promise.resolve();
  }

  /** Kills every child and waits until they are gone; who waits for an answer hears that the service is stopping. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#idle.values()) clearTimeout(timer);
    this.#idle.clear();
    for (const child of this.#alive) child.kill("the service is stopping");
    for (const next of this.#waiting.splice(0)) next();
    await Promise.all([...this.#alive].map((child) => child.closed));
  }

  /** Process ids of the children, for tests. */
  get pids(): number[] {
    return [...this.#alive].flatMap((child) => child.pid ?? []);
  }

  /** Throws TR-4006 when the store is away or the service stops, and TR-4002 when the version is gone. */
  async read(bucket: string, key: string, head: ObjectHead): Promise<FooterAnswer> {
    const { bytes } = head;
    const tail = await this.#range(bucket, key, head, Math.max(0, bytes - footerTailBytes), bytes);
    if (tail.length < trailerBytes + 4) return { refused: `it has ${bytes} bytes; no Parquet file is so small` };
    const magic = tail.subarray(-4).toString("latin1");
    if (magic === "PARE") return { refused: "it is encrypted" };
    if (magic !== "PAR1") return { refused: "the file does not end as a Parquet file does" };
    const footerBytes = tail.readUInt32LE(tail.length - trailerBytes) + trailerBytes;
    if (footerBytes > footerBytesMax)
      return { refused: `it has ${footerBytes} bytes; at most ${footerBytesMax} are read` };
    if (footerBytes + 4 > bytes) return { refused: `it has ${footerBytes} bytes, and the file ${bytes}` };
    return this.#slot(async () => {
      // Fetched in its turn: the large footers of many files are not held at once.
      const footer =
        footerBytes <= tail.length
          ? tail.subarray(-footerBytes)
          : await this.#range(bucket, key, head, bytes - footerBytes, bytes);
      return this.#parse(bytes, footer);
    });
  }

  /** A footer is blamed for the death of a child only when the child had read nothing else before. */
  async #parse(fileBytes: number, footer: Uint8Array): Promise<FooterAnswer> {
    for (;;) {
      if (this.#stopped) throw stopping();
      const child = this.#take();
      const fresh = child.answered === 0;
      try {
        const answer = await child.ask(fileBytes, footer);
        this.#keep(child);
        return answer;
      } catch (error) {
        if (!(error instanceof ChildGone)) throw error;
        child.kill(error.message);
        await child.closed;
        if (this.#stopped) throw stopping();
        if (!child.ready) throw new Error(`footers cannot be read: ${error.message}`, { cause: error });
        if (fresh) return { refused: error.message };
      }
    }
  }

  #take(): FooterProcess {
    for (const [child, timer] of this.#idle) {
      clearTimeout(timer);
      this.#idle.delete(child);
      if (child.usable) return child;
    }
    const child = new FooterProcess(this.#options.log, this.#options.deadlineMs ?? footerDeadlineMs);
    this.#alive.add(child);
    void child.closed.then(() => this.#alive.delete(child));
    return child;
  }

  #keep(child: FooterProcess): void {
    const timer = setTimeout(() => {
      this.#idle.delete(child);
      child.kill("it was idle");
    }, footerChildIdleMs);
    this.#idle.set(child, timer.unref());
  }

  async #slot<T>(work: () => Promise<T>): Promise<T> {
    while (this.#busy >= footerChildrenMax && !this.#stopped)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#busy += 1;
    try {
      return await work();
    } finally {
      this.#busy -= 1;
      this.#waiting.shift()?.();
    }
  }

  async #range(bucket: string, key: string, head: ObjectHead, start: number, end: number): Promise<Buffer> {
    const bytes = await this.#options.store.range(bucket, key, { etag: head.etag, start, end });
    if (bytes !== undefined && bytes.length === end - start) return Buffer.from(bytes);
    throw new TraceError("TR-4002", {
      detail: `'${key}' was changed or deleted while it was checked`,
      where: `s3://${bucket}/${key}`,
      fix: "the attempt is tried again and stages its files anew; if it stays, look for what writes to the datasets bucket",
    });
  }
}

function stopping(): TraceError {
  return new TraceError("TR-4006", {
    detail: "the dispatcher stops, and has not read the footers of the files",
    fix: "make the same call again: another dispatcher, or this one after its start, will read them",
  });
}
