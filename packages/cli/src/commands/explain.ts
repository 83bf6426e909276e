/** `trace explain CODE`: the page of an error, offline. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type ErrorCode, errorCatalogue, errorCodeSchema, TraceError } from "@trace/contracts";
import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { proseColumnsMax } from "../limits.ts";
import { nearest } from "../nearest.ts";
import type { CliOf } from "../program.ts";
import { plural } from "../terminal/format.ts";
import { renderMarkdown } from "../terminal/markdown.ts";
import { renderTable } from "../terminal/table.ts";
import { examples } from "./arguments.ts";

/** The pages travel with the source. */
const pagesFolder = fileURLToPath(new URL("../../../../docs/errors/", import.meta.url));

export function registerExplain(program: Command, cliOf: CliOf): void {
  program
    .command("explain")
    .summary("explain an error code")
    .description(
      "Explains an error code: what it means, what causes it, what fixes it. Without a code it lists all of them. Needs no stack and no network.",
    )
    .argument("[code]", "such as TR-1007, or 1007")
    .addHelpText(
      "after",
      examples(
        ["trace explain TR-1007", "what to do when a service cannot be reached"],
        ["trace explain", "every code there is"],
      ),
    )
    .action((code: string | undefined, _options: unknown, command: Command) => {
      const cli = cliOf(command);
      if (code === undefined) {
        list(cli);
        return;
      }
      const known = findCode(code);
      const page = pageOf(known);
      if (cli.json) {
        const { title, family, httpStatus } = errorCatalogue[known];
        cli.printJson({ code: known, title, family, http_status: httpStatus, page });
        return;
      }
      const width = Math.min(cli.outWidth, proseColumnsMax);
      cli.print(...renderMarkdown(page, { width, palette: cli.outColors }));
    });
}

function list(cli: Cli): void {
  const codes = Object.entries(errorCatalogue);
  if (cli.json) {
    const rows = codes.map(([code, { title, family, httpStatus }]) => ({
      code,
      title,
      family,
      http_status: httpStatus,
    }));
    cli.printJson({ codes: rows });
    return;
  }
  const { cyan, dim } = cli.outColors;
  const { lines } = renderTable({
    columns: [{ title: "code", whole: true }, { title: "what" }, { title: "family" }],
    rows: codes.map(([code, { title, family }]) => [{ text: code, paint: cyan }, title, { text: family, paint: dim }]),
    width: cli.outWidth,
    palette: cli.outColors,
  });
  cli.print(...lines);
  cli.say("", `${plural(codes.length, "code")}; retryable: the same call may succeed later`);
}

/** Throws TR-7012 for a code that is in no catalogue. */
export function findCode(text: string): ErrorCode {
  const digits = /^(?:tr)?[-_ ]?(\d{4})$/i.exec(text.trim())?.[1];
  const code = errorCodeSchema.safeParse(digits === undefined ? text : `TR-${digits}`);
  if (code.success) return code.data;
  const known: readonly string[] = errorCodeSchema.options;
  const asked = digits === undefined ? text.toUpperCase() : `TR-${digits}`;
  const area = known.filter((candidate) => digits !== undefined && candidate.startsWith(asked.slice(0, 4)));
  const meant = nearest(asked, area.length > 0 ? area : known);
  throw new TraceError("TR-7012", {
    detail: `there is no error code '${text.slice(0, 40)}'`,
    why:
      area.length > 0 ? `codes near it: ${area.slice(0, 12).join(", ")}${area.length > 12 ? ", ..." : ""}` : undefined,
    fix: meant === undefined ? "a code looks like TR-1007; the pages are in docs/errors/" : `did you mean ${meant}?`,
  });
}

/** The page, or the little that the catalogue itself tells. */
function pageOf(code: ErrorCode): string {
  const path = join(pagesFolder, `${code}.md`);
  if (existsSync(path)) return readFileSync(path, "utf8");
  const { title, family, httpStatus } = errorCatalogue[code];
  return `# ${code}: ${title}\n\nFamily: ${family}. HTTP status: ${httpStatus}.\n\nThis code has no page yet.\n`;
}
