/**
 * An S3 and STS server of other people: the RADOS Gateway of Ceph, unpacked from Debian's packages, with a monitor and a
 * storage daemon that keeps everything in memory. On the loopback, in a folder of its own, without root's help.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { send } from "../../packages/localcloud/src/testing/s3bench.ts";
import { cephCommandMaxMs, cephLookMs, cephReadyMaxMs, cephStartsMax, endMaxMs } from "./limits.ts";
import { bring, environmentOf, type Ran, run } from "./programs.ts";
import type { Key } from "./store.ts";

/** May do everything with its bucket, and assume the role. */
export const broker: Key = { accessKeyId: "BROKERKEY", secretAccessKey: "broker-secret-of-the-tests" };
export const roleArn = "arn:aws:iam:::role/staging";
/** The bucket that the role opens. */
export const bucket = "files";

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function configuration(root: string, work: string, fsid: string, ports: { monitor: number; gateway: number }): string {
  const libraries = join(root, "usr/lib", `${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`);
  return `[global]
fsid = ${fsid}
mon host = v1:127.0.0.1:${ports.monitor}
mon initial members = a
auth cluster required = none
auth service required = none
auth client required = none
ms bind ipv4 = true
ms bind msgr2 = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 1
mon cluster log file = ${work}/log/cluster.log
run dir = ${work}/run
log file = ${work}/log/$name.log
admin socket = ${work}/run/$name.asok
pid file = ${work}/run/$name.pid
keyring = ${work}/keyring
osd class dir = ${libraries}/rados-classes
plugin dir = ${libraries}/ceph
erasure code dir = ${libraries}/ceph/erasure-code

[mon.a]
host = localhost
mon data = ${work}/mon
public addr = 127.0.0.1

[osd.0]
osd data = ${work}/osd
osd objectstore = memstore
memstore device bytes = ${1 << 30}
public addr = 127.0.0.1
cluster addr = 127.0.0.1

[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:${ports.gateway}
rgw s3 auth use sts = true
rgw sts key = abcdefghijklmnop
rgw dns name = localhost
rgw data = ${work}/gateway
`;
}

export class Ceph {
  readonly port: number;
  readonly #work: string;
  readonly #env: Record<string, string>;
  readonly #fsid: string;
  readonly #monitorPort: number;
  readonly #children: { readonly name: string; readonly child: ChildProcess }[] = [];
  #ending: AbortSignal | undefined;

  private constructor(work: string, env: Record<string, string>, fsid: string, monitor: number, gateway: number) {
    this.#work = work;
    this.#env = env;
    this.#fsid = fsid;
    this.#monitorPort = monitor;
    this.port = gateway;
  }

  /** Throws NotHere where the packages cannot be had, and when `ending` is aborted before all of it is up. */
  static async start(parent: string, ending: AbortSignal): Promise<Ceph> {
    const root = await bring("ceph", ["radosgw", "ceph-mon", "ceph-osd", "ceph-common"]);
    const work = join(parent, "ceph");
    for (const folder of ["", "mon", "osd", "run", "log", "gateway"]) mkdirSync(join(work, folder));
    const [monitor, gateway, fsid] = [await freePort(), await freePort(), randomUUID()];
    const configFile = join(work, "ceph.conf");
    writeFileSync(configFile, configuration(root, work, fsid, { monitor, gateway }));
    const ceph = new Ceph(work, { ...environmentOf(root, work), CEPH_CONF: configFile }, fsid, monitor, gateway);
    ceph.#ending = ending;
    try {
      await ceph.#start();
      return ceph;
    } catch (error) {
      await ceph.stop();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const keyring = join(this.#work, "keyring");
    const map = join(this.#work, "monmap");
    await this.#must(
      "ceph-authtool",
      "--create-keyring",
      keyring,
      "--gen-key",
      "-n",
      "mon.",
      "--cap",
      "mon",
      "allow *",
    );
    const all = ["--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *"];
    await this.#must("ceph-authtool", keyring, "--gen-key", "-n", "client.admin", ...all);
    const address = `[v1:127.0.0.1:${this.#monitorPort}]`;
    await this.#must("monmaptool", "--create", "--clobber", "--addv", "a", address, "--fsid", this.#fsid, map);
    await this.#must("ceph-mon", "--mkfs", "-i", "a", "--monmap", map, "--keyring", keyring);
    this.#spawn("mon", "ceph-mon", "-f", "-i", "a");
    const osd = randomUUID();
    await this.#until("the monitor answers", async () => (await this.#ceph("osd", "new", osd)).exit === 0);
    await this.#must("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd);
    await this.#must("ceph", "osd", "crush", "add", "osd.0", "1", "host=localhost", "root=default");
    await this.#startStorage();
    this.#spawn("gateway", "radosgw", "-f", "-n", "client.rgw");
    await this.#until("the gateway answers", async () => (await fetch(`http://127.0.0.1:${this.port}`)).ok);
    await this.#createBroker();
  }

  /** The daemon gives up when the monitor does not know itself yet: then it is started again. */
  async #startStorage(): Promise<void> {
    let daemon = this.#spawn("osd", "ceph-osd", "-f", "-i", "0");
    let starts = 1;
    await this.#until("the storage is up", async () => {
      if (daemon.exitCode !== null && starts < cephStartsMax) {
        daemon = this.#spawn("osd", "ceph-osd", "-f", "-i", "0");
        starts += 1;
      }
      const { exit, out } = await this.#ceph("osd", "stat", "--format", "json");
      return exit === 0 && (JSON.parse(out) as { num_up_osds?: number }).num_up_osds === 1;
    });
  }

  async #createBroker(): Promise<void> {
    const keys = ["--access-key", broker.accessKeyId, "--secret-key", broker.secretAccessKey];
    await this.#must(
      "radosgw-admin",
      "user",
      "create",
      "--uid=broker",
      "--display-name=broker",
      ...keys,
      "--caps=roles=*",
    );
    const trust = { Effect: "Allow", Principal: { AWS: ["arn:aws:iam:::user/broker"] }, Action: ["sts:AssumeRole"] };
    const rights = {
      Effect: "Allow",
      Action: ["s3:*"],
      Resource: [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`],
    };
    const text = (statement: object) => JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
    const role = ["--role-name=staging"];
    await this.#must("radosgw-admin", "role", "create", ...role, `--assume-role-policy-doc=${text(trust)}`);
    await this.#must(
      "radosgw-admin",
      "role-policy",
      "put",
      ...role,
      "--policy-name=all",
      `--policy-doc=${text(rights)}`,
    );
    const { status, body } = await send(this, { method: "PUT", path: `/${bucket}` }, { credential: broker });
    if (status !== 200) throw new Error(`Ceph made no bucket: ${status} ${body}`);
  }

  #spawn(name: string, command: string, ...args: string[]): ChildProcess {
    const log = openSync(join(this.#work, "log", `${name}.out`), "a");
    const child = spawn(command, args, { env: this.#env, cwd: this.#work, stdio: ["ignore", log, log] });
    child.once("error", () => undefined); // Whoever waits for it sees that it does not answer.
    this.#children.push({ name, child });
    return child;
  }

  #ceph(...args: string[]): Promise<Ran> {
    return run("ceph", args, { env: this.#env, cwd: this.#work, timeoutMs: cephCommandMaxMs });
  }

  async #must(command: string, ...args: string[]): Promise<void> {
    const ended = await run(command, args, { env: this.#env, cwd: this.#work, timeoutMs: cephCommandMaxMs });
    if (ended.exit !== 0) throw new Error(`'${command} ${args.join(" ")}' ended with ${ended.exit}: ${ended.errors}`);
  }

  async #until(what: string, holds: () => Promise<boolean>): Promise<void> {
    const endMs = performance.now() + cephReadyMaxMs;
    while (!(await holds().catch(() => false))) {
      this.#ending?.throwIfAborted();
      if (performance.now() > endMs) throw new Error(`Ceph: not in time: ${what}\n${this.#said()}`);
      await delay(cephLookMs);
    }
  }

  #said(): string {
    const names = [...new Set(this.#children.map(({ name }) => name))];
    return names.map((name) => readFileSync(join(this.#work, "log", `${name}.out`), "utf8").slice(-1_000)).join("\n");
  }

  /** The last started first; what does not heed is killed. */
  async stop(): Promise<void> {
    for (const { child } of this.#children.splice(0).reverse()) {
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) continue;
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      const kill = setTimeout(() => child.kill("SIGKILL"), endMaxMs);
      await ended;
      clearTimeout(kill);
    }
  }
}
