/**
 * The child that parses footers of strangers: one after the other, on file descriptor 3 alone, with an empty environment, no
 * file it may write and no address it may dial. The parent kills it whenever it takes too long.
 */
import { rmdirSync } from "node:fs";
import { Socket } from "node:net";
import { decodeRequest, encodeFrame, FrameReader, readyWord } from "../frames.ts";
import { footerBytesMax } from "../limits.ts";
import { FooterFault, parseFooter } from "./footer.ts";
import { gather } from "./gather.ts";

const channel = new Socket({ fd: 3, readable: true, writable: true });
// The parent is gone: nobody needs an answer, and nobody else will remove this empty folder.
function orphaned(): never {
  rmdirSync(process.cwd());
  process.exit(0);
}
channel.on("close", orphaned);
channel.on("error", orphaned);
channel.on("end", orphaned);

function send(message: unknown): void {
  channel.write(encodeFrame([Buffer.from(JSON.stringify(message), "utf8")]));
}

function answerTo(frame: Buffer): unknown {
  const { fileBytes, footer } = decodeRequest(frame);
  try {
    return { facts: gather(parseFooter(footer), fileBytes, footer.length) };
  } catch (error) {
    if (error instanceof FooterFault) return { refused: error.message };
    // Whatever else a hostile footer brings a parser to throw (ends too early, lengths out of range, a stack that is full).
    return {
      refused: `it cannot be parsed: ${error instanceof Error ? error.message.slice(0, 200) : "no reason given"}`,
    };
  }
}

const frames = new FrameReader(footerBytesMax + 64, (frame) => {
  send(answerTo(frame));
});
channel.on("data", (chunk: Buffer) => frames.push(chunk));
send(readyWord);
