/** `trace outbox list | requeue`: messages that were given up, why, and sending them again once the cause is mended. */
import {
  type FailedOutbox,
  failedOutboxMax,
  pageRowsDefault,
  type RequeueOutboxAnswer,
  TraceError,
} from "@trace/contracts";
import type { Command } from "commander";
import type { Cli, UserClient } from "../cli.ts";
import { exitCodes } from "../exit.ts";
import { answersShownMax } from "../limits.ts";
import type { CliOf } from "../program.ts";
import { count, plural, relative } from "../terminal/format.ts";
import { renderTable } from "../terminal/table.ts";
import { examples, wholeNumber, wholeNumbers } from "./arguments.ts";
import { endWithRefusals, sayRefusals } from "./refusals.ts";

interface RequeueOptions {
  readonly all?: boolean;
  readonly yes?: boolean;
}

export function registerOutbox(program: Command, cliOf: CliOf): void {
  const outbox = program
    .command("outbox")
    .summary("list messages that were given up, and send them again")
    .helpCommand(false)
    .description(
      "Looks at messages, wake-ups of workers and events, that their destination refused too often, and sends them again.",
    );
  outbox.addHelpText(
    "after",
    examples(
      ["trace outbox list", "what was given up, and why"],
      ["trace outbox requeue --all", "send all of it again, after a question"],
    ),
  );
  outbox
    .command("list")
    .summary("list messages that were given up, newest first")
    .description("Lists messages that were given up, newest first, with the last refusal of each.")
    .option(
      "--limit <n>",
      `at most this many, up to ${count(failedOutboxMax)}`,
      wholeNumber(1, failedOutboxMax),
      pageRowsDefault,
    )
    .addHelpText(
      "after",
      examples(
        ["trace outbox list", "the newest"],
        ["trace outbox list --json | jq -r '.messages[].last_error'", "for a script"],
      ),
    )
    .action(async ({ limit }: { limit: number }, command: Command) => {
      const cli = cliOf(command);
      await cli.withClient((client) => list(cli, client, limit));
    });
  outbox
    .command("requeue")
    .summary("send messages again that were given up")
    .description(
      "Gives messages back to their lane, with all tries before them. Mend first what they were refused for.",
    )
    .argument("[ids...]", "ids, as 'trace outbox list' shows them", wholeNumbers(1, Number.MAX_SAFE_INTEGER))
    .option("--all", `all that were given up, the newest ${count(failedOutboxMax)} of more`)
    .option("-y, --yes", "do not ask")
    .addHelpText(
      "after",
      examples(
        ["trace outbox requeue 4711 4712", "two of them"],
        ["trace outbox requeue --all", "all of them, after a question"],
        ["trace outbox requeue --all --yes", "without a question"],
      ),
    )
    .action(async (ids: readonly number[], options: RequeueOptions, command: Command) => {
      const cli = cliOf(command);
      checkUse(ids, options);
      await cli.withClient((client) =>
        options.all === true ? requeueAll(cli, client, options) : requeue(cli, client, [...new Set(ids)]),
      );
    });
}

/** Throws TR-7001. */
function checkUse(ids: readonly number[], { all = false }: RequeueOptions): void {
  if (ids.length > failedOutboxMax) {
    throw new TraceError("TR-7001", {
      detail: `${count(ids.length)} ids are more than the ${count(failedOutboxMax)} that one call takes`,
      fix: "name fewer, or say --all",
    });
  }
  if (all !== ids.length > 0) return;
  const fix = "name messages, 'trace outbox requeue ID...', or say --all";
  throw new TraceError(
    "TR-7001",
    all
      ? { detail: "ids and --all exclude each other", fix }
      : { detail: "'trace outbox requeue' does not say which messages", fix },
  );
}

/** `2 tasks of queue default`, `3 events: task.completed, task.dead`. */
function contentOf({ lane, queue, entries, event_types }: FailedOutbox): string {
  if (lane === "events") return `${plural(entries, "event")}: ${event_types.join(", ")}`;
  return `wake-up for ${plural(entries, "task")}${queue === null ? "" : ` of queue ${queue}`}`;
}

function messageLines(cli: Cli, messages: readonly FailedOutbox[]): readonly string[] {
  const nowMs = cli.io.clock.nowMs();
  return renderTable({
    columns: [
      { title: "id", align: "right" },
      { title: "lane", whole: true },
      { title: "what" },
      { title: "tries", align: "right" },
      { title: "last tried", whole: true },
      { title: "refused for" },
    ],
    rows: messages.map((message) => [
      String(message.outbox_id),
      message.lane,
      contentOf(message),
      count(message.tries),
      relative(message.last_tried_at, nowMs),
      message.last_error,
    ]),
    width: cli.outWidth,
    palette: cli.outColors,
  }).lines;
}

async function list(cli: Cli, client: UserClient, limit: number): Promise<void> {
  const answer = await client.listFailedOutbox({ query: { limit } });
  if (cli.json) {
    cli.printJson(answer);
    return;
  }
  const { messages, more } = answer;
  if (messages.length === 0) {
    cli.say("No message was given up.");
    return;
  }
  cli.print(...messageLines(cli, messages));
  cli.say("", `${plural(messages.length, "message")}${more ? ", and there are more" : ""}`);
  cli.sayNext([[cli.command("outbox", "requeue", "--all"), "send them again, once the cause is mended"]]);
}

/** `2 of lane sqs, 1 of lane events`: what a person is asked about. */
function laneLines(messages: readonly FailedOutbox[]): string[] {
  const counts = new Map<string, number>();
  for (const { lane } of messages) counts.set(lane, (counts.get(lane) ?? 0) + 1);
  return [...counts].map(([lane, number]) => `  ${count(number)} of lane ${lane}`);
}

async function requeueAll(cli: Cli, client: UserClient, { yes }: RequeueOptions): Promise<void> {
  const { messages, more } = await client.listFailedOutbox({ query: { limit: failedOutboxMax } });
  if (messages.length === 0) {
    if (cli.json) cli.printJson({ items: [] });
    cli.say("No message was given up; there is nothing to requeue.");
    return;
  }
  if (yes !== true) {
    cli.say(...laneLines(messages));
    if (more) cli.say(`There are more; these are the newest ${count(messages.length)}.`);
    const question = `Requeue ${plural(messages.length, "message")}?`;
    if (!(await cli.confirm(question, "--yes", "'trace outbox list'"))) {
      cli.say("Nothing was changed.");
      cli.endWith(exitCodes.failed);
      return;
    }
  }
  await requeue(
    cli,
    client,
    messages.map((message) => message.outbox_id),
  );
  if (more) cli.say("There were more than that: run it again for the next ones.");
}

async function requeue(cli: Cli, client: UserClient, ids: readonly number[]): Promise<void> {
  const answer = await client.requeueOutbox({ body: { outbox_ids: [...ids] } });
  const { items } = answer;
  const refused = items.flatMap(({ error }) => (error === undefined ? [] : [error]));
  endWithRefusals(cli, refused);
  if (cli.json) {
    cli.printJson(answer);
    return;
  }
  showAnswers(cli, items);
  const accepted = items.length - refused.length;
  const of = refused.length === 0 ? "" : ` of ${count(items.length)}`;
  if (accepted === 0) cli.say("No message was requeued.");
  else cli.say(`Requeued ${count(accepted)}${of} ${items.length === 1 ? "message" : "messages"}.`);
  sayRefusals(cli, refused, "message");
  if (accepted > 0) cli.sayNext([[cli.command("doctor"), "see whether they were taken"]]);
}

/** One line per message; of many, those that were refused. */
function showAnswers(cli: Cli, items: readonly RequeueOutboxAnswer[]): void {
  const { red } = cli.outColors;
  const few = items.length <= answersShownMax;
  const shown = few ? items : items.filter((item) => !item.accepted).slice(0, answersShownMax);
  for (const { outbox_id, error } of shown) {
    cli.print(`${outbox_id}  ${error === undefined ? "requeued" : red(error.code)}`);
  }
}
