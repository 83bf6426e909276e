/**
 * Puts an object that must not exist into the store, again after a pause while the store is away. A large file goes in parts
 * (parts.ts); each call of either kind is tried here.
 */
import { TraceError } from "@trace/contracts";
import { backoffMs, type ObjectHead } from "@trace/kit";
import { uploadRetryBaseMs, uploadRetryMaxMs, uploadTriesMax } from "../limits.ts";
import type { OperatorContext } from "../operators/operator.ts";
import { wait } from "../timers.ts";
import type { WriteStore } from "./writer.ts";

export interface Upload {
  readonly bucket: string;
  readonly key: string;
  readonly bytes: number;
  /** As the store is to keep it, lower-case hex. */
  readonly sha256: string;
  readonly contentType: string;
}

export interface WholeUpload extends Upload {
  /** Made anew for each try: a stream is read once. */
  body(): Uint8Array | NodeJS.ReadableStream;
}

/** Throws TR-5010 when the store holds something else under the key, what the store throws, and the signal's reason. */
export async function putWhole(context: OperatorContext, file: WholeUpload, signal: AbortSignal): Promise<void> {
  const { body, ...rest } = file;
  const put = await tried(context, file.key, signal, (store) =>
    store.put({ ...rest, body: body(), ifAbsent: true, signal }),
  );
  if (put === "exists") await requireOwn(context, file);
}

/** One call of the store, made again while the store is away, and once with new keys when it refused those in hand. */
export async function tried<T>(
  context: OperatorContext,
  key: string,
  signal: AbortSignal,
  call: (store: WriteStore) => Promise<T>,
  what = key,
): Promise<T> {
  const { log, services, writer } = context;
  let renewed = false;
  for (let tries = 1; ; tries += 1) {
    signal.throwIfAborted();
    const store = await writer.store(key);
    try {
      return await call(store);
    } catch (error) {
      signal.throwIfAborted();
      const code = error instanceof TraceError ? error.code : undefined;
      if (code === "TR-4008" && !renewed && (await writer.renew(store))) {
        renewed = true;
        log.warn(`the store refused this attempt's keys for ${what}; asking for others`);
        continue;
      }
      if (code !== "TR-4006" || tries >= uploadTriesMax) throw error;
      log.warn(`upload of ${what} failed (${(error as TraceError).message}); trying again`);
      const rule = { baseMs: uploadRetryBaseMs, maxMs: uploadRetryMaxMs };
      await wait(services.timers, backoffMs(rule, tries - 1, services.random), signal);
    }
  }
}

/** The key is there already. Its prefix is this attempt's alone, so it is our own put whose answer was lost, or an error. */
export async function requireOwn(context: OperatorContext, file: Upload): Promise<void> {
  const head: ObjectHead | undefined = await context.services.objectStore.head(file.bucket, file.key);
  if (head?.bytes === file.bytes && head.sha256 === file.sha256) return;
  throw new TraceError("TR-5010", {
    detail: "an object of another content is stored under a key of this attempt",
    where: `s3://${file.bucket}/${file.key}`,
    why: `it has ${head?.bytes ?? "no"} bytes and SHA-256 ${head?.sha256 ?? "none"}; ${file.bytes} and ${file.sha256} were written`,
    fix: "the task is tried again under a new prefix by itself; find out who else writes to the datasets bucket",
  });
}
