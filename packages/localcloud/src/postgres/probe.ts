/** Asks a server whether it takes sessions, in its own protocol, without logging in. */
import { connect } from "node:net";
import { postgresLimits } from "./limits.ts";

/** StartupMessage, protocol 3.0 (PostgreSQL documentation, "Message Formats"). */
function startupMessage(user: string, database: string): Buffer {
  const body = Buffer.from(`user\0${user}\0database\0${database}\0\0`);
  const head = Buffer.alloc(8);
  head.writeInt32BE(8 + body.length, 0);
  head.writeInt32BE(196_608, 4);
  return Buffer.concat([head, body]);
}

/** True when the server answers a login with a request for the password; false when it refuses or is not there. */
export function acceptsSessions(port: number, user: string, database: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    const finish = (result: boolean) => {
      socket.destroy();
      resolve(result);
    };
    socket.setTimeout(postgresLimits.probeMaxMs, () => finish(false));
    socket.on("connect", () => socket.write(startupMessage(user, database)));
    socket.on("data", (chunk: Buffer) => finish(chunk.subarray(0, 1).toString("latin1") === "R"));
    socket.on("error", () => finish(false));
    socket.on("close", () => finish(false));
  });
}
