/** Refusing a request whose body nobody wants: it is neither kept nor read for ever, and the refusal gets through. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import { refusedBodyBytesMax, refusedBodyMs } from "../limits.ts";

/**
 * Answers `text` while the body still comes. A client that still sends looks at the answer late, and a socket closed over
 * unread bytes resets the answer away. So the answer is whole and says 'close', but it is ended, and the connection with
 * it, only when the body has ended or after `refusedBodyMs`; until then at most `refusedBodyBytesMax` more bytes are
 * taken and thrown away.
 */
export function refuseUnread(
  request: IncomingMessage,
  response: ServerResponse,
  answer: { readonly status: number; readonly headers: OutgoingHttpHeaders; readonly text: string },
): void {
  const { status, headers, text } = answer;
  response.writeHead(status, { ...headers, "content-length": Buffer.byteLength(text), connection: "close" });
  response.write(text);
  let bytes = 0;
  const cut = setTimeout(() => request.socket.destroy(), refusedBodyMs);
  request.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    // Full buffers make the client look up from writing and find the answer.
    if (bytes > refusedBodyBytesMax) request.pause();
  });
  request.once("end", () => response.end());
  request.once("close", () => clearTimeout(cut));
  // The client may hang up meanwhile; there is nobody left to tell.
  request.on("error", () => undefined);
  request.resume();
}
