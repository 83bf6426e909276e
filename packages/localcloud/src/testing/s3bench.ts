/** What the tests of the endpoint share: an endpoint in a folder of its own, and a raw client with a foreign signer. */
import { createHash, createHmac, type Hash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { S3Client, type S3ClientConfig } from "@aws-sdk/client-s3";
import { SignatureV4 } from "@smithy/signature-v4";
import { silentLog } from "@trace/kit";
import type { S3Credential } from "../s3/access.ts";
import { S3Endpoint, type S3EndpointOptions } from "../s3/endpoint.ts";
import { uriEncodePath } from "../s3/target.ts";

export const owner: S3Credential = {
  accessKeyId: "OWNERKEY",
  secretAccessKey: "owner-secret-of-the-tests",
  grants: ["files", "once"].map((bucket) => ({
    bucket,
    actions: ["GetObject", "PutObject", "DeleteObject", "ListBucket"],
  })),
};

export const buckets = [{ name: "files" }, { name: "once", requireIfNoneMatch: true }];

export interface Bench {
  readonly endpoint: S3Endpoint;
  readonly root: string;
  stop(): Promise<void>;
}

export async function startBench(options: Partial<S3EndpointOptions> = {}): Promise<Bench> {
  const folder = await mkdtemp(join(tmpdir(), "trace-s3-"));
  const removeFolder = () => rm(folder, { recursive: true, force: true });
  const root = options.root ?? join(folder, "objects");
  try {
    const endpoint = new S3Endpoint({
      root,
      host: "127.0.0.1",
      port: 0,
      buckets,
      credentials: [owner],
      log: silentLog(),
      ...options,
    });
    await endpoint.start();
    const stop = async () => {
      await endpoint.stop();
      await removeFolder();
    };
    return { endpoint, root, stop };
  } catch (error) {
    await removeFolder();
    throw error;
  }
}

export function sdkClient(endpoint: S3Endpoint, config: Partial<S3ClientConfig> = {}): S3Client {
  return new S3Client({
    endpoint: `http://127.0.0.1:${endpoint.port}`,
    region: "eu-central-1",
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: owner,
    ...config,
  });
}

class SignerHash {
  #hash: Hash;
  constructor(secret?: Parameters<typeof Buffer.from>[0]) {
    this.#hash =
      secret === undefined ? createHash("sha256") : (createHmac("sha256", secret as Buffer) as unknown as Hash);
  }
  update(data: string | Uint8Array): void {
    this.#hash.update(data);
  }
  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }
}

/** What a caller signs with: a configured key, or the keys of a session. */
export interface Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export function foreignSigner(credential: Keys, region: string, service: "s3" | "sts" = "s3"): SignatureV4 {
  return new SignatureV4({
    service,
    region,
    credentials: credential,
    sha256: SignerHash as never,
    uriEscapePath: false,
  });
}

/** Our endpoint, or another server on this machine. */
export interface Listening {
  readonly port: number;
}

export interface RawCall {
  readonly method: string;
  /** As it goes over the wire, percent-encoded, without query. */
  readonly path: string;
  readonly query?: Record<string, string>;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** S3's error code, if the body is an error. */
  readonly code: string | undefined;
}

export interface Signed {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: string | Buffer;
}

/** Signs with the vendor's signer. `presign`: seconds; the signature goes into the query. */
export async function signCall(
  endpoint: Listening,
  call: RawCall,
  options: {
    credential?: Keys;
    at?: Date;
    presign?: number;
    unsignedPayload?: boolean;
    service?: "s3" | "sts";
  } = {},
): Promise<Signed> {
  const body = call.body ?? "";
  const host = `127.0.0.1:${endpoint.port}`;
  const signer = foreignSigner(options.credential ?? owner, "eu-central-1", options.service);
  const payload = options.unsignedPayload === true || options.presign !== undefined ? "UNSIGNED-PAYLOAD" : sha256(body);
  const request = {
    method: call.method,
    protocol: "http:",
    hostname: "127.0.0.1",
    port: endpoint.port,
    path: call.path,
    query: { ...call.query },
    headers: {
      host,
      ...(options.presign === undefined ? { "x-amz-content-sha256": payload } : {}),
      ...call.headers,
    } as Record<string, string>,
    body: options.presign === undefined ? body : undefined,
  };
  const at = { signingDate: options.at ?? new Date() };
  const signed =
    options.presign === undefined
      ? await signer.sign(request, at)
      : await signer.presign(
          { ...request, headers: { ...request.headers, "x-amz-content-sha256": payload } },
          {
            ...at,
            expiresIn: options.presign,
            unhoistableHeaders: new Set(Object.keys(request.headers)),
            unsignableHeaders: new Set(["x-amz-content-sha256"]),
          },
        );
  const query = Object.entries(signed.query ?? {}).map(
    ([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(String(value))}`,
  );
  const headers = { ...(signed.headers as Record<string, string>) };
  if (options.presign !== undefined) delete headers["x-amz-content-sha256"];
  return {
    method: call.method,
    path: query.length === 0 ? call.path : `${call.path}?${query.join("&")}`,
    headers,
    body,
  };
}

export function sha256(data: string | Buffer): string {
  return createHash("sha256").update(data).digest("hex");
}

export function sendRaw(port: number, call: Signed): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        host: "127.0.0.1",
        port,
        method: call.method,
        path: call.path,
        headers: { "content-length": String(Buffer.byteLength(call.body)), ...call.headers },
        agent: false,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const body = Buffer.concat(chunks);
          const code = /<Code>(.*?)<\/Code>/.exec(body.toString("latin1"))?.[1];
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body, code });
        });
      },
    );
    request.on("error", reject);
    request.end(call.body);
  });
}

/** Signs and sends. */
export async function send(
  endpoint: Listening,
  call: RawCall,
  options?: Parameters<typeof signCall>[2],
): Promise<RawAnswer> {
  return sendRaw(endpoint.port, await signCall(endpoint, call, options));
}

export function objectPath(bucket: string, key: string): string {
  return `/${bucket}/${uriEncodePath(key)}`;
}
