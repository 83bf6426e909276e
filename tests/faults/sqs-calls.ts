/**
 * The calls that the SQS proxy understands and what faults do to them: sends are dropped, held and doubled, entries of
 * batches fail, received messages bear the id that their sender was told. Other calls go through as they came.
 */
import { createHash, randomUUID } from "node:crypto";
import type { FaultCounts } from "./counts.ts";
import type { SeededRandom } from "./random.ts";
import { type SqsAnswer, type SqsBackend, type SqsRequest, sqsContentType } from "./sqs-backend.ts";
import type { SqsChance, SqsFaultKind, SqsFaults } from "./sqs-faults.ts";
import type { Copy, HeldMessages } from "./sqs-held.ts";

type Json = Readonly<Record<string, unknown>>;

/** A request that is an SQS call. */
export interface SqsCall {
  readonly request: SqsRequest;
  readonly action: string;
  readonly input: Json;
  /** Path of the queue's URL; undefined when the call names none. */
  readonly queue: string | undefined;
}

export interface SqsCallsOptions {
  readonly backend: SqsBackend;
  readonly held: HeldMessages;
  readonly counts: FaultCounts<SqsFaultKind>;
  readonly faults: () => SqsFaults;
  /** One generator for each kind of chance. */
  readonly random: Readonly<Record<SqsChance | "holding", SeededRandom>>;
}

/** What will happen to one message. */
interface Plan {
  readonly place: number;
  readonly dropped: boolean;
  /** How each copy goes, the first one first; none when it is dropped. */
  readonly copies: readonly ("direct" | "delay" | "reorder")[];
}

interface Entry extends Json {
  readonly Id: string;
}

interface BatchAnswer {
  readonly Successful?: readonly Json[];
  readonly Failed?: readonly Json[];
}

/** SQS's own bound of a batch; a batch beyond it, or with an id twice, is the backend's to refuse. */
const entriesMax = 10;

export class SqsCalls {
  readonly #options: SqsCallsOptions;
  /** Queues that the backend has answered for: only what can be sent is answered as sent. */
  readonly #known = new Set<string>();

  constructor(options: SqsCallsOptions) {
    this.#options = options;
  }

  async answer(call: SqsCall, signal: AbortSignal): Promise<SqsAnswer> {
    switch (call.action) {
      case "SendMessage":
        return this.#send(call, signal);
      case "SendMessageBatch":
        return this.#sendBatch(call, signal);
      case "DeleteMessageBatch":
      case "ChangeMessageVisibilityBatch":
        return this.#batch(call, signal);
      case "ReceiveMessage":
        return this.#receive(call, signal);
      default:
        return this.#other(call, signal);
    }
  }

  #forward(call: SqsCall, input: Json, signal: AbortSignal): Promise<SqsAnswer> {
    const url = call.queue === undefined ? {} : { QueueUrl: `${this.#options.backend.origin}${call.queue}` };
    return this.#options.backend.send({ ...call.request, body: JSON.stringify({ ...input, ...url }) }, signal);
  }

  async #other(call: SqsCall, signal: AbortSignal): Promise<SqsAnswer> {
    const answer = await this.#forward(call, call.input, signal);
    if (answer.status !== 200) return answer;
    if (call.queue !== undefined) this.#known.add(call.queue);
    if (call.action === "PurgeQueue") this.#options.held.discard(call.queue);
    if (call.action === "GetQueueUrl") {
      const { QueueUrl } = parsed<{ QueueUrl?: string }>(answer);
      if (QueueUrl !== undefined) this.#known.add(new URL(QueueUrl).pathname);
    }
    return answer;
  }

  async #receive(call: SqsCall, signal: AbortSignal): Promise<SqsAnswer> {
    const answer = await this.#other(call, signal);
    if (answer.status !== 200) return answer;
    const body = parsed<{ Messages?: readonly (Json & { MessageId: string })[] }>(answer);
    if (body.Messages === undefined) return answer;
    const Messages = body.Messages.map((one) => ({ ...one, MessageId: this.#options.held.toldId(one.MessageId) }));
    return { ...answer, text: JSON.stringify({ ...body, Messages }) };
  }

  async #send(call: SqsCall, signal: AbortSignal): Promise<SqsAnswer> {
    const { input, queue } = call;
    if (queue === undefined || !this.#canBeFaulted(queue, [input])) return this.#other(call, signal);
    const plan = this.#plan(queue);
    if (plan.copies[0] !== "direct") {
      const sent = sentAnswer(input);
      await this.#carryOut(queue, input, sent.MessageId, plan);
      return made(sent);
    }
    const answer = await this.#forward(call, input, signal);
    if (answer.status !== 200) return answer;
    await this.#carryOut(queue, input, parsed<{ MessageId: string }>(answer).MessageId, plan);
    return answer;
  }

  async #sendBatch(call: SqsCall, signal: AbortSignal): Promise<SqsAnswer> {
    const { queue } = call;
    const entries = entriesOf(call.input);
    if (queue === undefined || entries === undefined || !this.#canBeFaulted(queue, entries)) {
      return this.#other(call, signal);
    }
    const { failed, left } = this.#failEntries(entries);
    const plans = new Map(left.map((entry) => [entry.Id, this.#plan(queue)]));
    const direct = left.filter(({ Id }) => plans.get(Id)?.copies[0] === "direct");
    const answer = await this.#forwardEntries(call, direct, signal);
    if (answer.status !== 200) return answer;
    const body = parsed<BatchAnswer>(answer);
    const own = left
      .filter((entry) => !direct.includes(entry))
      .map((entry) => ({ Id: entry.Id, ...sentAnswer(entry) }));
    const successful = [...(body.Successful ?? []), ...own];
    for (const { Id, MessageId } of successful) {
      const entry = left.find((one) => one.Id === Id);
      const plan = plans.get(String(Id));
      if (entry === undefined || plan === undefined) continue;
      const { Id: _, ...message } = entry;
      await this.#carryOut(queue, message, String(MessageId), plan);
    }
    return this.#withFailed(answer, { Successful: successful, Failed: body.Failed ?? [] }, failed);
  }

  async #batch(call: SqsCall, signal: AbortSignal): Promise<SqsAnswer> {
    const entries = entriesOf(call.input);
    if (entries === undefined) return this.#other(call, signal);
    const { failed, left } = this.#failEntries(entries);
    if (failed.length === 0) return this.#other(call, signal);
    const answer = await this.#forwardEntries(call, left, signal);
    return answer.status === 200 ? this.#withFailed(answer, parsed<BatchAnswer>(answer), failed) : answer;
  }

  async #forwardEntries(call: SqsCall, entries: readonly Entry[], signal: AbortSignal): Promise<SqsAnswer> {
    if (entries.length === 0) return made({ Successful: [], Failed: [] });
    return this.#forward(call, { ...call.input, Entries: entries }, signal);
  }

  #withFailed(answer: SqsAnswer, body: BatchAnswer, failed: readonly Json[]): SqsAnswer {
    for (const { SenderFault } of failed) {
      this.#options.counts.add(SenderFault === true ? "blameEntry" : "failEntry");
    }
    return { ...answer, text: JSON.stringify({ ...body, Failed: [...(body.Failed ?? []), ...failed] }) };
  }

  #failEntries(entries: readonly Entry[]): { failed: Json[]; left: Entry[] } {
    const failed: Json[] = [];
    const left: Entry[] = [];
    for (const entry of entries) {
      const { Id } = entry;
      if (this.#chance("blameEntry")) {
        failed.push({ Id, SenderFault: true, Code: "InvalidParameterValue", Message: "refused by the fault proxy" });
      } else if (this.#chance("failEntry")) {
        failed.push({ Id, SenderFault: false, Code: "InternalError", Message: "failed by the fault proxy" });
      } else left.push(entry);
    }
    return { failed, left };
  }

  /** FIFO queues promise what these faults break, and a queue nobody has seen yet may not be there. */
  #canBeFaulted(queue: string, messages: readonly Json[]): boolean {
    if (!this.#known.has(queue) || queue.endsWith(".fifo")) return false;
    return messages.every(({ MessageBody }) => typeof MessageBody === "string" && MessageBody !== "");
  }

  #plan(queue: string): Plan {
    const place = this.#options.held.place(queue);
    if (this.#chance("drop")) return { place, dropped: true, copies: [] };
    const faults = this.#options.faults();
    const more = this.#chance("duplicate") ? this.#options.random.holding.integer(1, faults.duplicatesMax) : 0;
    const copies = Array.from({ length: 1 + more }, () => {
      if (this.#chance("delay")) return "delay" as const;
      return this.#chance("reorder") ? ("reorder" as const) : ("direct" as const);
    });
    return { place, dropped: false, copies };
  }

  /** After the answer is certain: what the backend took itself is only noted, the rest is held or put in. */
  async #carryOut(queue: string, message: Json, told: string, plan: Plan): Promise<void> {
    const { held, counts, random } = this.#options;
    if (plan.dropped) return counts.add("drop");
    const faults = this.#options.faults();
    for (const [at, how] of plan.copies.entries()) {
      if (at === 0 && how === "direct") {
        held.arrived(queue, plan.place);
        continue;
      }
      const kinds: SqsFaultKind[] = at === 0 ? [] : ["duplicate"];
      const copy = (...more: SqsFaultKind[]): Copy => {
        return { queue, message, told, place: plan.place, faults: [...kinds, ...more] };
      };
      if (how === "delay") held.delay(copy("delay"), random.holding.integer(faults.delayMinMs, faults.delayMaxMs));
      else if (how === "reorder") held.reorder(copy("reorder"), faults);
      else await held.deliver([copy()]);
    }
  }

  #chance(kind: SqsChance): boolean {
    return this.#options.random[kind].chance(this.#options.faults()[kind]);
  }
}

function entriesOf(input: Json): readonly Entry[] | undefined {
  const { Entries } = input;
  if (!Array.isArray(Entries) || Entries.length === 0 || Entries.length > entriesMax) return undefined;
  const ids = new Set(Entries.map((entry: { Id?: unknown } | null) => entry?.Id));
  if (ids.size !== Entries.length || ![...ids].every((id) => typeof id === "string")) return undefined;
  return Entries as Entry[];
}

/** As SQS answers for a message that it took; without a digest of attributes, which no client of ours checks. */
function sentAnswer(message: Json): { MessageId: string; MD5OfMessageBody: string } {
  const MD5OfMessageBody = createHash("md5").update(String(message.MessageBody)).digest("hex");
  return { MessageId: randomUUID(), MD5OfMessageBody };
}

function made(body: Json): SqsAnswer {
  return { status: 200, headers: { "content-type": sqsContentType }, text: JSON.stringify(body) };
}

function parsed<T>(answer: SqsAnswer): T {
  return JSON.parse(answer.text) as T;
}
