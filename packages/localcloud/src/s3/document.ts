/** XML in and out: a document that a client sends, and an answer that takes long. */
import { setTimeout as delay } from "node:timers/promises";
import { xmlBytesMax } from "../limits.ts";
import { consumeBody, planBody } from "./body.ts";
import { S3Error } from "./errors.ts";
import { type Exchange, type Reply, xmlHeaders } from "./exchange.ts";
import { xmlDeclaration, xmlDocument } from "./xml.ts";
import { malformedXml, parseXml, type XmlElement } from "./xmlread.ts";

export const namespace = "http://s3.amazonaws.com/doc/2006-03-01/";

/** The body of a request as XML with the given root, every promise kept that `headers` make of it. */
export async function readDocument(
  exchange: Exchange,
  root: string,
  headers: ReadonlyMap<string, string> = exchange.headers,
): Promise<XmlElement> {
  const plan = planBody(headers, exchange.signature);
  if (plan.bytes > xmlBytesMax) {
    throw new S3Error("MaxMessageLengthExceeded", `Your request was too big: at most ${xmlBytesMax} bytes of XML.`);
  }
  const chunks: Buffer[] = [];
  await consumeBody(plan, exchange.signature, exchange.body(), async (chunk) => {
    chunks.push(chunk);
  });
  const document = parseXml(Buffer.concat(chunks));
  if (document.name !== root) throw malformedXml(`the root element ${root} is expected`);
  return document;
}

export function xmlReply(root: string, members: readonly string[]): Reply {
  return { status: 200, headers: xmlHeaders, body: xmlDocument(xmlRoot(root, members)) };
}

function xmlRoot(root: string, members: readonly string[]): string {
  return `<${root} xmlns="${namespace}">${members.join("")}</${root}>`;
}

/**
 * The answer of work that may take longer than a client waits on a silent connection. As at S3: while it lasts, status 200
 * and white space are sent from time to time, and a failure after that is an `Error` in the body, which SDKs look for.
 */
export async function patientReply(exchange: Exchange, root: string, work: Promise<readonly string[]>): Promise<Reply> {
  const outcome = work.then(
    (members) => ({ members }),
    (error: unknown) => ({ error }),
  );
  const soon = await within(outcome, exchange.patienceMs);
  if (soon === undefined) {
    // The request is not over before its work is, even when its client hangs up: a stop waits for it.
    const release = async () => void (await outcome);
    return { status: 200, headers: xmlHeaders, body: waiting(exchange, root, outcome), release };
  }
  if ("error" in soon) throw soon.error;
  return xmlReply(root, soon.members);
}

type Outcome = { readonly members: readonly string[] } | { readonly error: unknown };

async function* waiting(exchange: Exchange, root: string, outcome: Promise<Outcome>): AsyncGenerator<Buffer> {
  yield Buffer.from(xmlDeclaration);
  for (;;) {
    const now = await within(outcome, exchange.patienceMs);
    if (now === undefined) yield Buffer.from(" ");
    else {
      yield Buffer.from("error" in now ? exchange.lateError(now.error) : xmlRoot(root, now.members));
      return;
    }
  }
}

async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  const enough = new AbortController();
  try {
    return await Promise.race([promise, delay(ms, undefined, { signal: enough.signal })]);
  } finally {
    enough.abort();
  }
}
