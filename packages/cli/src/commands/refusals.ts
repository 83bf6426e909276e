/** Where one call acts on many things, each has its own answer: how those are told that were refused. */
import { type ErrorRecord, fromErrorRecord } from "@trace/contracts";
import type { Cli } from "../cli.ts";
import { exitCodes } from "../exit.ts";
import { errorLines } from "../failure.ts";
import { plural } from "../terminal/format.ts";

/** The command failed with one of them; trying again helps when all of them may pass. */
export function endWithRefusals(cli: Cli, refused: readonly ErrorRecord[]): void {
  if (refused.length === 0) return;
  const terminal = refused.some((error) => !fromErrorRecord(error).retryable);
  cli.endWith(terminal ? exitCodes.failed : exitCodes.tryAgain);
}

/** The first refusal of each code, whole, and how many more of that `thing` have it. */
export function sayRefusals(cli: Cli, refused: readonly ErrorRecord[], thing: string): void {
  const byCode = new Map<string, ErrorRecord[]>();
  for (const error of refused) byCode.set(error.code, [...(byCode.get(error.code) ?? []), error]);
  for (const [code, [first, ...others]] of byCode) {
    if (first === undefined) continue;
    const more = cli.command("explain", code);
    cli.say("", ...errorLines(fromErrorRecord(first), { width: cli.errWidth, palette: cli.errColors, more }));
    if (others.length > 0) cli.say(`  and ${plural(others.length, thing)} more for the same reason`);
  }
}
