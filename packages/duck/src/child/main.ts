/**
 * The child: one process, one request, then death. It speaks on file descriptor 3 alone; standard output is /dev/null,
 * the environment is empty, and the parent may kill it at any moment.
 */
import { rmSync } from "node:fs";
import { Socket } from "node:net";
import { encodeFrame, FrameReader } from "../frames.ts";
import { requestBytesMax, watchEveryMs } from "../limits.ts";
import type { ChildSettings, Reply, Request } from "../messages.ts";
import { Engine } from "./engine.ts";
import { answer } from "./query.ts";

const settings = JSON.parse(process.argv[2] ?? "{}") as ChildSettings;
const channel = new Socket({ fd: 3, readable: true, writable: true });

function die(): never {
  process.kill(process.pid, "SIGKILL");
  throw new Error("unreachable: SIGKILL cannot be caught");
}

// The parent is gone, and nobody else will remove this folder. SIGKILL, because DuckDB's threads would delay an exit.
function orphaned(): never {
  rmSync(settings.folder, { recursive: true, force: true });
  die();
}
channel.on("close", orphaned);
channel.on("error", orphaned);
channel.on("end", orphaned);

// Second line behind RLIMIT_DATA and the parent's watchdog, and the only one where neither exists.
setInterval(() => {
  if (process.memoryUsage.rss() > settings.residentBytesMax) die();
}, watchEveryMs).unref();

function send(reply: Reply): Promise<void> {
  return new Promise((resolve, reject) => {
    channel.write(encodeFrame(reply), (error) => (error ? reject(error) : resolve()));
  });
}

const request = new Promise<Request>((resolve) => {
  // The parent is trusted; the bound keeps a broken one from filling this process.
  const frames = new FrameReader(requestBytesMax, (message) => resolve(message as Request));
  channel.on("data", (chunk: Buffer) => frames.push(chunk));
});

const engine = await Engine.open(settings);
await send({ kind: "ready" });
await answer(engine, await request, send);
// The last reply is with the kernel. The parent kills this process; should it not, the channel's end does.
