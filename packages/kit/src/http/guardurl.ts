/**
 * Which URLs and addresses the outside may make us dial. Pure. A URL is judged after parsing, on what would be dialled:
 * `https://2130706433/`, `https://0x7f.1/` and full-width digits all become 127.0.0.1 there. Denied unless public.
 */
import { TraceError } from "@trace/contracts";
import ipaddr from "ipaddr.js";
import { guardedUrlCharsMax, hostCharsMax, hostLabelCharsMax } from "./guardlimits.ts";

const portsByScheme: Readonly<Record<string, number>> = { "http:": 80, "https:": 443 };
const portsAllowed: ReadonlySet<number> = new Set([80, 443]);

/** Names that mean this machine or a private network (RFC 6761, RFC 6762, the ICANN reservation of .internal). */
const privateSuffixes = ["localhost", "local", "internal", "localdomain", "home.arpa"];

const globalUnicastV6 = ipaddr.parseCIDR("2000::/3");
/**
 * Parts of 2000::/3 that are not the public internet or that wrap another address: protocol assignments with Teredo and
 * ORCHID, documentation, 6to4, documentation again (IANA IPv6 Special-Purpose Address Registry).
 */
const refusedV6 = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"].map((range) => ipaddr.parseCIDR(range));

/**
 * True for an address of the public internet: IPv4 unicast outside every special range, IPv6 within 2000::/3 outside
 * those. IPv4-mapped IPv6 is judged as the IPv4 inside. NAT64, 6to4, Teredo and IPv4-compatible addresses are refused
 * whatever they wrap: where a translator stands is not ours to know.
 */
export function isPublicAddress(address: string): boolean {
  // Strict four-part decimal IPv4 only: other spellings are for URL parsers, which have run before this.
  if (ipaddr.IPv4.isValidFourPartDecimal(address)) return ipaddr.IPv4.parse(address).range() === "unicast";
  if (!ipaddr.IPv6.isValid(address) || address.includes("%")) return false;
  const v6 = ipaddr.IPv6.parse(address);
  if (v6.isIPv4MappedAddress()) return v6.toIPv4Address().range() === "unicast";
  if (!v6.match(globalUnicastV6)) return false;
  return v6.range() === "unicast" && !refusedV6.some((range) => v6.match(range));
}

export interface CheckedUrl {
  readonly url: URL;
  /** Without brackets and without a trailing dot. */
  readonly host: string;
  readonly port: number;
  /** The host is an address, so no name will be resolved. */
  readonly isAddress: boolean;
  /** A development exception names exactly this host and port: any address is allowed. */
  readonly excepted: boolean;
}

/**
 * Judges a URL before anything is dialled: scheme, credentials, port, host. `allowHostPorts` holds development
 * exceptions as exact `host:port`, which lift the rules on port and address and no other. Throws TraceError TR-5300 to
 * TR-5304. The text of an error names the host and nothing after it. A name that passes can still resolve to a private
 * address; that is asked when it is dialled.
 */
export function checkUrl(text: string, allowHostPorts: readonly string[] = []): CheckedUrl {
  const url = parsed(text);
  const host = url.hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
  const where = host === "" ? undefined : printableHost(host);
  const schemePort = portsByScheme[url.protocol];
  if (schemePort === undefined) {
    throw new TraceError("TR-5301", {
      detail: `The scheme ${url.protocol.slice(0, 32)} is not allowed.`,
      where,
      fix: "Use an https:// or http:// URL; for a file on this machine use 'file' with a path.",
    });
  }
  if (url.username !== "" || url.password !== "") {
    throw new TraceError("TR-5303", {
      detail: "The URL carries a user name or password.",
      where,
      why: "URLs are logged and stored, by us and by others on the way.",
      fix: "Remove what stands before the @ of the host.",
    });
  }
  checkHostName(host, where);
  const port = url.port === "" ? schemePort : Number(url.port);
  const excepted = allowHostPorts.some((entry) => entry.toLowerCase() === `${url.hostname}:${port}`);
  if (!excepted && !portsAllowed.has(port)) {
    throw new TraceError("TR-5302", {
      detail: `Port ${port} is not allowed.`,
      where,
      fix: "Serve the data on port 443 or 80.",
    });
  }
  const isAddress = ipaddr.isValid(host);
  if (!excepted && (isAddress ? !isPublicAddress(host) : isPrivateName(host))) throw notPublic(host);
  return { url, host, port, isAddress, excepted };
}

/**
 * The checked target of a redirect that `from` answers with. Throws TraceError TR-5312 for a `Location` that is missing,
 * no URL, or leads from https to http, and what `checkUrl` throws for any other place it must not lead to.
 */
export function redirectTarget(
  from: CheckedUrl,
  location: unknown,
  allowHostPorts: readonly string[] = [],
): CheckedUrl {
  const refusal = (detail: string): TraceError => {
    return new TraceError("TR-5312", { detail, where: from.host, fix: "Use the URL at which the redirects end." });
  };
  if (typeof location !== "string" || location === "") throw refusal(`${from.host} redirects without saying where.`);
  if (misleading.test(location) || !URL.canParse(location, from.url.href)) {
    throw refusal(`${from.host} redirects to what is no URL.`);
  }
  const next = checkUrl(new URL(location, from.url).href, allowHostPorts);
  if (from.url.protocol === "https:" && next.url.protocol === "http:") {
    throw refusal(`${from.host} redirects from https to http.`);
  }
  return next;
}

/** The error for an address or a name that is not public. Does not say which address a name led to. */
export function notPublic(host: string): TraceError {
  return new TraceError("TR-5304", {
    detail: `${printableHost(host)} is not an address of the public internet.`,
    where: printableHost(host),
    why: "Operators reach public addresses only, so that nobody can use them to look into a private network.",
    fix: "Use a public address. For development, list the exact host:port among the guard's exceptions.",
  });
}

/** A host fit for a message: short and without surprises. */
export function printableHost(host: string): string {
  const shown = host.length <= 100 ? host : `${host.slice(0, 99)}…`;
  return shown.replaceAll(/[^\x20-\x7e…]/g, "?");
}

/** A URL parser drops tabs and line ends and turns \ into /, so what a person reads would not be what is dialled. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const misleading = /[\u0000-\u001f\u007f\\]/;

function parsed(text: string): URL {
  const fix = "Write a whole URL, such as https://example.com/data.csv.";
  if (text.length > guardedUrlCharsMax) {
    throw new TraceError("TR-5300", {
      detail: `The URL has ${text.length} characters, ${guardedUrlCharsMax} is the most.`,
      fix,
    });
  }
  if (misleading.test(text)) {
    throw new TraceError("TR-5300", { detail: "The URL holds a backslash or a control character.", fix });
  }
  if (!URL.canParse(text)) throw new TraceError("TR-5300", { detail: "The URL cannot be parsed.", fix });
  return new URL(text);
}

function checkHostName(host: string, where: string | undefined): void {
  const labels = host.split(".");
  const fits =
    host !== "" &&
    host.length <= hostCharsMax &&
    labels.every((label) => label !== "" && label.length <= hostLabelCharsMax);
  // ipaddr.js and URL agree that what holds a colon is IPv6; every other host is letters, digits, - and _ by now.
  const shape = host.includes(":")
    ? ipaddr.IPv6.isValid(host)
    : labels.every((label) => /^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?$/i.test(label));
  if (fits && shape) return;
  throw new TraceError("TR-5300", {
    detail: "The host of the URL is not a name that DNS can hold.",
    where,
    fix: "Check the spelling of the host.",
  });
}

function isPrivateName(host: string): boolean {
  const name = host.toLowerCase();
  return privateSuffixes.some((suffix) => name === suffix || name.endsWith(`.${suffix}`));
}
