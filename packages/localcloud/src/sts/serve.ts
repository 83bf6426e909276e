/**
 * STS, as much of it as hands out keys for a while: AssumeRole, in the query protocol, on the port of S3.
 * https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
 *
 * Two things are stricter than at AWS: a session needs a policy, where AWS takes none for all rights of the role, and what
 * would narrow a session in a way that is not kept here (tags, managed policies, MFA) is refused.
 */
import {
  sessionPolicyCharsMax,
  sessionSecondsDefault,
  sessionSecondsMax,
  sessionSecondsMin,
  stsBodyBytesMax,
} from "../limits.ts";
import { S3Error } from "../s3/errors.ts";
import type { Reply } from "../s3/exchange.ts";
import { type SignedRequest, sha256Hex, verifySignature } from "../s3/sigv4.ts";
import { element, xmlDocument } from "../s3/xml.ts";
import { account, type Caller, type Callers } from "./callers.ts";
import { asStsError, StsError, stsErrorXml, stsNamespace } from "./errors.ts";
import { PolicyFault, readPolicy } from "./policy.ts";

export interface StsCall {
  readonly request: SignedRequest;
  readonly contentType: string | undefined;
  readonly body: () => AsyncIterable<Buffer>;
  readonly callers: Callers;
  readonly nowMs: number;
  readonly requestId: string;
  /** How a failure that is no refusal is told; what an operator should see of it goes to the log. */
  readonly judge: (error: unknown) => S3Error;
}

const xmlHeaders = { "content-type": "text/xml" } as const;

/** Every refusal is an answer here: S3's would not be understood by who speaks STS. */
export async function serveSts(call: StsCall): Promise<Reply> {
  try {
    return { status: 200, headers: xmlHeaders, body: xmlDocument(await assumeRole(call)) };
  } catch (error) {
    const told = error instanceof StsError ? error : asStsError(error instanceof S3Error ? error : call.judge(error));
    return { status: told.status, headers: xmlHeaders, body: stsErrorXml(told, call.requestId) };
  }
}

async function assumeRole(call: StsCall): Promise<string> {
  const body = await readBody(call.body());
  const caller = authenticate(call, body);
  const form = readForm(call, body);
  const arn = form.get("RoleArn") ?? "";
  if (arn.length < 20 || arn.length > 2_048) throw invalid("roleArn", "have a length of 20 to 2048");
  const sessionName = form.get("RoleSessionName") ?? "";
  if (!/^[\w+=,.@-]{2,64}$/.test(sessionName)) throw invalid("roleSessionName", "satisfy [\\w+=,.@-]{2,64}");
  const policy = readPolicyText(form.get("Policy"));
  const role = call.callers.roleFor(caller, arn);
  // As at AWS, whether there is such a role is told to nobody who may not assume it.
  if (role === undefined) {
    throw new StsError("AccessDenied", `User is not authorized to perform: sts:AssumeRole on resource: ${arn}`);
  }
  const seconds = readSeconds(form.get("DurationSeconds"), role.secondsMax);
  const expiresMs = call.nowMs + seconds * 1_000;
  const session = call.callers.startSession(role, sessionName, policy, expiresMs);
  const keys = [
    element("AccessKeyId", session.accessKeyId),
    element("SecretAccessKey", session.secretAccessKey),
    element("SessionToken", session.sessionToken),
    element("Expiration", new Date(expiresMs).toISOString()),
  ];
  const user = [
    element("AssumedRoleId", `AROA${role.name.toUpperCase()}:${sessionName}`),
    element("Arn", `arn:aws:sts::${account}:assumed-role/${role.name}/${sessionName}`),
  ];
  const result = [
    `<Credentials>${keys.join("")}</Credentials>`,
    `<AssumedRoleUser>${user.join("")}</AssumedRoleUser>`,
    element("PackedPolicySize", Math.ceil((policy.length / sessionPolicyCharsMax) * 100)),
  ];
  return (
    `<AssumeRoleResponse xmlns="${stsNamespace}"><AssumeRoleResult>${result.join("")}</AssumeRoleResult>` +
    `<ResponseMetadata>${element("RequestId", call.requestId)}</ResponseMetadata></AssumeRoleResponse>`
  );
}

/** Read before the caller is known, since the signature is over it: so it is short. */
async function readBody(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > stsBodyBytesMax)
      throw new StsError("ValidationError", `A request has at most ${stsBodyBytesMax} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function authenticate({ request, callers, nowMs }: StsCall, body: Buffer): Caller {
  const { target, rawHeaders } = request;
  if (!rawHeaders.some((name, at) => at % 2 === 0 && name.toLowerCase() === "authorization")) {
    throw new StsError("MissingAuthenticationToken", "Request is missing Authentication Token");
  }
  if (target.query.length > 0) throw new StsError("ValidationError", "Parameters are read from the body alone.");
  let caller: Caller | undefined;
  const secretOf = (accessKeyId: string, sessionToken: string | undefined) => {
    caller = callers.find(accessKeyId, sessionToken, nowMs);
    return caller?.secretAccessKey;
  };
  verifySignature({ ...request, service: "sts", bodyHash: sha256Hex(body) }, secretOf, nowMs);
  if (caller === undefined) throw new StsError("InvalidClientTokenId", "The security token included is invalid.");
  return caller;
}

const parameters = new Set(["Action", "Version", "RoleArn", "RoleSessionName", "DurationSeconds", "Policy"]);

function readForm({ contentType }: StsCall, body: Buffer): ReadonlyMap<string, string> {
  if (contentType?.split(";")[0]?.trim().toLowerCase() !== "application/x-www-form-urlencoded") {
    throw new StsError("ValidationError", "The content type must be application/x-www-form-urlencoded.");
  }
  const form = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(body.toString("utf8"))) {
    // Two readers could choose different ones.
    if (form.has(name)) throw new StsError("ValidationError", `The parameter ${name} is given more than once.`);
    form.set(name, value);
  }
  const [action, version] = [form.get("Action") ?? "", form.get("Version")];
  if (action !== "AssumeRole" || (version !== undefined && version !== "2011-06-15")) {
    throw new StsError(
      "InvalidAction",
      `Could not find operation ${action} for version ${version ?? "NO_VERSION_SPECIFIED"}`,
    );
  }
  const unknown = [...form.keys()].find((name) => !parameters.has(name));
  if (unknown !== undefined) throw new StsError("ValidationError", `The parameter ${unknown} is not implemented here.`);
  return form;
}

function readPolicyText(text: string | undefined): string {
  if (text === undefined) {
    throw new StsError(
      "ValidationError",
      "A session needs a Policy here; without one it would have every right of its role.",
    );
  }
  if (text.length < 1 || text.length > sessionPolicyCharsMax) {
    throw invalid("policy", `have length less than or equal to ${sessionPolicyCharsMax}, and at least 1`);
  }
  if (!/^[\t\n\r\u0020-\u00ff]+$/.test(text))
    throw invalid("policy", "satisfy [\\u0009\\u000A\\u000D\\u0020-\\u00FF]+");
  try {
    readPolicy(text);
  } catch (error) {
    if (error instanceof PolicyFault) throw new StsError("MalformedPolicyDocument", error.message, { cause: error });
    throw error;
  }
  return text;
}

function readSeconds(text: string | undefined, roleMax: number): number {
  const seconds = text === undefined ? Math.min(sessionSecondsDefault, roleMax) : Number(text);
  if (text !== undefined && !/^\d{1,6}$/.test(text)) throw invalid("durationSeconds", "be a whole number");
  if (seconds < sessionSecondsMin || seconds > sessionSecondsMax) {
    throw invalid("durationSeconds", `have a value of ${sessionSecondsMin} to ${sessionSecondsMax}`);
  }
  if (seconds > roleMax) {
    throw new StsError(
      "ValidationError",
      "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
    );
  }
  return seconds;
}

function invalid(name: string, rule: string): StsError {
  return new StsError("ValidationError", `1 validation error detected: Value at '${name}' failed: Member must ${rule}`);
}
