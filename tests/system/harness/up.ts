/** `trace up` as its user starts it: a process of its own, whose whole tree a test can kill. */
import { type ChildProcess, spawn } from "node:child_process";
import { Access } from "./access.ts";
import type { TestFolder } from "./folder.ts";
import { until } from "./until.ts";
import { mainFile } from "./work.ts";

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A command line of `trace`, run as a process. */
export class TraceProcess {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  stdout = "";
  stderr = "";

  constructor(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const path = process.env.PATH ?? "";
    this.child = spawn(process.execPath, [mainFile, ...args], {
      env: { PATH: path, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
    });
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    this.ended = new Promise((done) => this.child.once("close", (code, signal) => done({ code, signal })));
  }

  get pid(): number {
    const { pid } = this.child;
    if (pid === undefined) throw new Error("the process was not started");
    return pid;
  }
}

const upMsMax = 60_000;

/** Starts `trace up` on a folder and resolves when it says that all of it is ready. */
export async function spawnUp(
  folder: TestFolder,
  args: readonly string[] = [],
): Promise<{ up: TraceProcess; access: Access }> {
  const up = new TraceProcess(["up", "--state", folder.dir, "--json", "--quiet", ...args]);
  await until(
    "'trace up' is ready",
    () => {
      // With --json it prints the addresses once everything is up, and nothing before.
      if (up.stdout.trimEnd().endsWith("}")) return true;
      if (up.child.exitCode !== null) throw new Error(`it ended: ${up.stderr}`);
      return false;
    },
    upMsMax,
  );
  const access = new Access(folder);
  await until("the worker is ready", () => access.isReady("worker"), upMsMax);
  return { up, access };
}

/** A second worker beside the stack's own, as on another machine: its own session, slots and folders. */
export function spawnWorker(
  folder: TestFolder,
  access: Access,
  settings: Readonly<Record<string, string>>,
): TraceProcess {
  return new TraceProcess(["worker"], {
    TRACE_WORKER_NAME: "second",
    TRACE_WORKER_API: access.endpoints.worker_api,
    TRACE_TASK_API: access.endpoints.task_api,
    TRACE_WORKER_TOKEN_FILE: `${folder.dir}/secrets/worker-token`,
    TRACE_WORK_DIR: `${folder.dir}/work-second`,
    TRACE_LOG_PRETTY: "0",
    AWS_REGION: "us-east-1",
    AWS_ENDPOINT_URL_S3: access.endpoints.s3,
    AWS_ENDPOINT_URL_SQS: access.endpoints.sqs,
    AWS_ACCESS_KEY_ID: "TRACEWORKER",
    AWS_SECRET_ACCESS_KEY: folder.secret("s3-worker"),
    ...settings,
  });
}
