/** A moment as people write one. Pure. */

const written =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6})\d*)?)?\s?(Z|UTC|[+-]\d{2}(?::?\d{2})?)?)?$/i;

/** Minutes east of UTC. */
function offsetMinutes(zone: string): number {
  const [, sign, hours, minutes] = /^([+-])(\d{2}):?(\d{2})?$/.exec(zone) ?? [];
  return (sign === "-" ? -1 : 1) * (Number(hours ?? 0) * 60 + Number(minutes ?? 0));
}

/**
 * ISO 8601 in UTC, to the microsecond, of `2026-11-24`, `2026-11-24 07:00`, `2026-11-24T07:00:00.5+01:00`. Without an offset it
 * is UTC, as everywhere in Trace. Undefined for anything else, the 30th of February too.
 */
export function momentOf(text: string): string | undefined {
  const parts = written.exec(text.trim());
  if (parts === null) return undefined;
  const [, year, month, day, hour = "00", minute = "00", second = "00", fraction = "", zone = "Z"] = parts;
  const local = `${year}-${month}-${day}T${hour}:${minute}:${second}`;
  const localMs = Date.parse(`${local}Z`);
  // Date takes the 31st of a shorter month for the 1st of the next.
  if (Number.isNaN(localMs) || new Date(localMs).toISOString().slice(0, 19) !== local) return undefined;
  const utcMs = localMs - offsetMinutes(zone) * 60_000;
  return `${new Date(utcMs).toISOString().slice(0, 19)}.${fraction.padEnd(6, "0")}Z`;
}
