/** A request's body as it comes off the socket: bounded in silence while it is wanted, and thrown away when it is not. */
import type { IncomingMessage } from "node:http";
import { drainBytesMax, drainMsMax } from "../limits.ts";
import { S3Error } from "./errors.ts";

/**
 * Chunks of the body. A silence longer than `idleMs` is RequestTimeout, a connection that breaks off IncompleteBody. Ending
 * early leaves the socket usable, so that the refusal can still be written on it.
 */
export async function* receive(request: IncomingMessage, idleMs: number): AsyncGenerator<Buffer> {
  const chunks: AsyncIterator<Buffer> = request.iterator({ destroyOnReturn: false });
  let waiting = false;
  try {
    for (;;) {
      waiting = true;
      const next = await nextWithin(chunks, idleMs);
      waiting = false;
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    // A pending read cannot be taken back: that request is stalled or broken, and its socket is cut soon.
    if (!waiting) await chunks.return?.();
  }
}

function nextWithin(chunks: AsyncIterator<Buffer>, idleMs: number): Promise<IteratorResult<Buffer>> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new S3Error("RequestTimeout", `Your socket connection to the server was silent for ${idleMs} ms.`)),
      idleMs,
    );
    chunks.next().then(
      (next) => {
        clearTimeout(timer);
        resolve(next);
      },
      (cause: unknown) => {
        clearTimeout(timer);
        reject(new S3Error("IncompleteBody", "The connection broke off before the whole body had come.", { cause }));
      },
    );
  });
}

/**
 * Reads on for a bounded while after the answer was given, since a client that still sends may not look at it before, and
 * a socket closed over unread bytes can lose it. Then the connection is cut.
 */
export function drain(request: IncomingMessage): void {
  if (request.complete || request.destroyed) return;
  let bytes = 0;
  const cut = () => request.socket.destroy();
  const timer = setTimeout(cut, drainMsMax);
  request.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    // Full buffers make the client look up from writing and find the answer; cutting at once would reset it away.
    if (bytes > drainBytesMax) request.pause();
  });
  request.once("close", () => clearTimeout(timer));
  // The client may hang up while we read on; there is nobody left to tell.
  request.on("error", () => undefined);
  request.resume();
}
