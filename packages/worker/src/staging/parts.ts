/**
 * Stores a large file in parts, read from the disk as they are sent: none is ever held in memory, a part that fails is sent
 * again alone, and an upload that fails is thrown away.
 */
import { createReadStream } from "node:fs";
import { type ObjectUpload, sha256OfParts, type UploadedPart } from "@trace/kit";
import { inLanes } from "../lanes.ts";
import { fileReadBytes, uploadAbortMs, uploadPartsInFlightMax } from "../limits.ts";
import type { OperatorContext } from "../operators/operator.ts";
import type { FilePart } from "./digest.ts";
import { requireOwn, tried, type Upload } from "./upload.ts";
import type { WriteStore } from "./writer.ts";

interface Place {
  readonly path: string;
  readonly bucket: string;
  readonly key: string;
  readonly bytes: number;
  readonly contentType: string;
}

/** Answers with the checksum that the store keeps. Throws as `putWhole` does. */
export async function putInParts(
  context: OperatorContext,
  place: Place,
  parts: readonly FilePart[],
  signal: AbortSignal,
  report: (bytes: number) => void,
): Promise<string> {
  const { bucket, contentType, key, path } = place;
  const file: Upload = { ...place, sha256: sha256OfParts(parts.map(({ sha256 }) => sha256)) };
  const options = { bucket, key, contentType, ifAbsent: true, signal };
  const { id } = await tried(context, key, signal, (store) => store.startUpload(options));
  try {
    const sent: UploadedPart[] = [];
    await inLanes(parts, uploadPartsInFlightMax, signal, async (part, signal, index) => {
      const end = part.start + part.bytes - 1;
      const put = (store: WriteStore) => {
        const body = createReadStream(path, { start: part.start, end, highWaterMark: fileReadBytes });
        const upload: ObjectUpload = store.upload({ ...options, signal }, id);
        return upload.put({ number: index + 1, body, bytes: part.bytes, sha256: part.sha256 });
      };
      sent.push(await tried(context, key, signal, put, `${key}, part ${index + 1} of ${parts.length}`));
      report(part.bytes);
    });
    const ended = await tried(context, key, signal, (store) => store.upload(options, id).complete(sent));
    if (ended === "exists") await requireOwn(context, file);
    return file.sha256;
  } catch (error) {
    await throwAway(context, { bucket, key, ifAbsent: true }, id);
    throw error;
  }
}

/** The bucket's own rule ends what cannot be thrown away now. The failure that led here is what is to be told. */
async function throwAway(
  context: OperatorContext,
  options: { bucket: string; key: string; ifAbsent: true },
  id: string,
): Promise<void> {
  try {
    const store = await context.writer.store(options.key);
    await store.upload(options, id).abort(AbortSignal.timeout(uploadAbortMs));
  } catch (error) {
    context.log.warn(`the parts of ${options.key} stay until the bucket's rule ends them: ${String(error)}`);
  }
}
