/**
 * A body that is taken as it comes, however long its reader is busy with what it has: undici 7 must never wait for a reader
 * (limits.ts, bodyAheadBytesMax). A reader that is too far behind loses the body, with an error.
 */
import { Readable } from "node:stream";

/** Bytes not read yet are at most `bytesMax`. What is read stays in order; the end of one ends the other. */
export function takenAhead(body: Readable, bytesMax: number): Readable {
  const taken = new Readable({
    highWaterMark: bytesMax,
    read: () => undefined,
    destroy: (error, done) => {
      body.destroy();
      done(error);
    },
  });
  // Whoever reads is told; nobody may read any more.
  taken.on("error", () => undefined);
  body.on("data", (chunk: Buffer) => {
    const bytes = taken.readableLength + chunk.length;
    if (bytes > bytesMax) taken.destroy(new Error(`${bytes} bytes wait for their reader, of at most ${bytesMax}`));
    else taken.push(chunk);
  });
  body.on("end", () => taken.push(null));
  body.on("error", (error) => taken.destroy(error));
  return taken;
}
