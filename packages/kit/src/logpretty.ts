/** One JSON log line to one line a person reads: time, role, level, message, then what else it carries. */

const colours: Record<string, string> = { debug: "2", info: "36", warn: "33", error: "31", fatal: "31;1" };
const shown = new Set(["time", "level", "role", "pid", "message", "error"]);

function paint(code: string, text: string): string {
  return `\u001b[${code}m${text}\u001b[0m`;
}

function errorText(error: unknown): string {
  if (typeof error !== "object" || error === null) return ` ${String(error)}`;
  const { code, detail, message, where, fix } = error as Record<string, unknown>;
  const head = [code, detail ?? message].filter((part) => part !== undefined).join(" ");
  const tail = [where && `at ${where}`, fix && `fix: ${fix}`].filter(Boolean).join("; ");
  return ` ${paint("31", head)}${tail ? ` (${tail})` : ""}`;
}

/** Takes any text: a line that is not JSON (a child's panic, say) is passed on as it is. */
export function prettyLine(line: string): string {
  let entry: Record<string, unknown>;
  try {
    entry = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return line.endsWith("\n") ? line : `${line}\n`;
  }
  const level = String(entry.level ?? "info");
  const time = String(entry.time ?? "").slice(11, 23);
  const rest = Object.entries(entry)
    .filter(([key]) => !shown.has(key))
    .map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(" ");
  const role = String(entry.role ?? "").padEnd(10);
  const error = entry.error === undefined ? "" : errorText(entry.error);
  const badge = paint(colours[level] ?? "0", level.padEnd(5));
  return `${paint("2", time)} ${role} ${badge} ${String(entry.message ?? "")}${rest ? paint("2", ` ${rest}`) : ""}${error}\n`;
}
