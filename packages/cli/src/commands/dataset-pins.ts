/** `trace dataset pin | unpin | pins`: commits that are kept readable for somebody. */
import { type Pin, pinHolderCharsMax, TraceError, uuidSchema } from "@trace/contracts";
import { type Command, InvalidArgumentError } from "commander";
import type { Cli, UserClient } from "../cli.ts";
import { nearest } from "../nearest.ts";
import type { CliOf } from "../program.ts";
import { moment, plural, relative } from "../terminal/format.ts";
import { renderTable } from "../terminal/table.ts";
import { type Ahead, aheadArgument, commitArgument, examples, nameArgument, timeAhead } from "./arguments.ts";
import { named } from "./dataset-names.ts";

interface PinOptions {
  readonly commit?: number;
  readonly for?: string;
  readonly until?: Ahead;
}

export function registerDatasetPins(dataset: Command, cliOf: CliOf): void {
  dataset
    .command("pin")
    .summary("keep a commit readable")
    .description("Keeps a commit readable: no purge gives it up while it is pinned. Prints the pin's id.")
    .argument("<name>", "name of the dataset", nameArgument)
    .option("--commit <commit>", "the commit (default: the newest)", commitArgument)
    .option("--for <holder>", "who or what needs it", holderArgument)
    .option("--until <time>", "no longer than: a moment with its offset, or a time from now like 30d", aheadArgument)
    .addHelpText(
      "after",
      examples(
        ["trace dataset pin quakes", "the newest commit, until it is unpinned"],
        ["trace dataset pin quakes --commit 12 --for 'report of May' --until 90d", "with a name and an end"],
      ),
    )
    .action(async (name: string, options: PinOptions, command: Command) => {
      const cli = cliOf(command);
      await cli.withClient((client) => named(client, name, () => pin(cli, client, name, options)));
    });
  dataset
    .command("unpin")
    .summary("keep a commit readable no longer")
    .description("Takes a pin away. The commit stays until a purge gives it up.")
    .argument("<pin>", "the pin's id, as 'trace dataset pins' shows it, or its last characters")
    .addHelpText("after", examples(["trace dataset unpin 3f9ac01b22d4", "take it away"]))
    .action(async (id: string, _options: unknown, command: Command) => {
      const cli = cliOf(command);
      await cli.withClient(async (client) => {
        const found = await findPin(client, id);
        await client.deletePin({ params: { pin_id: found.pin_id } });
        if (cli.json) cli.printJson(found);
        else cli.print(`unpinned commit ${found.commit} of ${found.dataset}`);
      });
    });
  dataset
    .command("pins")
    .summary("list pinned commits")
    .description("Lists commits that are kept readable, of one dataset or of all.")
    .argument("[name]", "name of the dataset", nameArgument)
    .addHelpText(
      "after",
      examples(["trace dataset pins", "all of them"], ["trace dataset pins quakes", "of one dataset"]),
    )
    .action(async (name: string | undefined, _options: unknown, command: Command) => {
      const cli = cliOf(command);
      await cli.withClient(async (client) => {
        const answer = await client.listPins({ query: { dataset: name } });
        if (cli.json) cli.printJson(answer);
        else list(cli, answer.pins, name);
      });
    });
}

function holderArgument(text: string): string {
  if (text.length >= 1 && text.length <= pinHolderCharsMax) return text;
  throw new InvalidArgumentError(`It must be 1 to ${pinHolderCharsMax} characters.`);
}

async function pin(cli: Cli, client: UserClient, name: string, options: PinOptions): Promise<void> {
  const { commit, until } = options;
  const made = await client.createPin({
    body: {
      dataset: name,
      ...(commit === undefined ? {} : { commit }),
      ...(options.for === undefined ? {} : { holder: options.for }),
      ...(until === undefined ? {} : { expires_at: timeAhead(until, cli.io.clock.nowMs()) }),
    },
  });
  if (cli.json) {
    cli.printJson(made);
    return;
  }
  cli.print(made.pin_id);
  const end = made.expires_at === null ? "until it is unpinned" : `until ${moment(made.expires_at)}`;
  cli.say(`Pinned commit ${made.commit} of ${name}, ${end}.`);
  cli.sayNext([[cli.command("dataset", "unpin", made.pin_id.slice(-12)), "take the pin away"]]);
}

/** By its id or the end of it. Throws TR-7001. */
async function findPin(client: UserClient, id: string): Promise<Pin> {
  const { pins } = await client.listPins({ query: {} });
  const found = pins.filter((one) => (uuidSchema.safeParse(id).success ? one.pin_id === id : one.pin_id.endsWith(id)));
  const [only] = found;
  if (only !== undefined && found.length === 1 && id.length >= 4) return only;
  const endings = pins.map((one) => one.pin_id.slice(-12));
  const meant = found.length === 0 ? nearest(id.slice(-12), endings) : undefined;
  throw new TraceError("TR-7001", {
    detail: `'${id.slice(0, 60)}' names no single pin`,
    why: found.length > 1 ? `${found.length} pins end with it` : "no pin has that id",
    fix: `${meant === undefined ? "" : `did you mean ${meant}? `}'trace dataset pins' shows the ${plural(pins.length, "pin")} there ${pins.length === 1 ? "is" : "are"}`,
  });
}

function list(cli: Cli, pins: readonly Pin[], name: string | undefined): void {
  if (pins.length === 0) {
    cli.say(name === undefined ? "No commit is pinned." : `No commit of '${name}' is pinned.`);
    cli.sayNext([[cli.command("dataset", "pin", name ?? "<name>"), "keeps the newest commit readable"]]);
    return;
  }
  const nowMs = cli.io.clock.nowMs();
  const wide = !cli.io.stdout.isTTY || cli.outWidth >= 120;
  const { lines } = renderTable({
    columns: [
      { title: "pin", whole: true },
      { title: "dataset", whole: true },
      { title: "commit", align: "right" },
      { title: "made", whole: true },
      { title: "until", whole: true },
      { title: "for" },
    ],
    rows: pins.map((one) => [
      wide ? one.pin_id : one.pin_id.slice(-12),
      one.dataset,
      String(one.commit),
      relative(one.created_at, nowMs),
      one.expires_at === null ? "unpinned" : relative(one.expires_at, nowMs),
      one.holder,
    ]),
    width: cli.outWidth,
    palette: cli.outColors,
  });
  cli.print(...lines);
  cli.say("", plural(pins.length, "pin"));
}
