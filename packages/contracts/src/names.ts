/** Names and identifiers, the same in SQL, API, DAG files and the command line. */
import { z } from "zod";

/** Datasets, DAGs, jobs and queues: lower case, starts with a letter, at most 128 characters. */
export const namePattern = /^[a-z][a-z0-9_]{0,127}$/;
export const nameSchema = z.string().regex(namePattern, "must match ^[a-z][a-z0-9_]{0,127}$").meta({ id: "Name" });

/** Public identifiers are UUIDs of version 7: they sort by time and tell nothing else. */
export const uuidSchema = z.uuid();

/** A moment, ISO 8601 in UTC. */
export const timeSchema = z.iso.datetime({ offset: true });

/** Lower-case hex SHA-256. */
export const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/, "must be 64 hex digits");

/**
 * The proof of a lease: 40 bytes in base64url, the numbers of session, lease and task and 16 random bytes. Whoever holds it may
 * finish the attempt; it is never reused, never logged. The last character ends in four bits that are none of theirs, and only
 * 0 is taken for them, so that a token has one form.
 */
export const leaseTokenSchema = z.string().regex(/^[A-Za-z0-9_-]{53}[AQgw]$/, "must be a lease token");

/** Lease numbers only grow; they fit a JavaScript number for three hundred thousand years at 1,000 a second. */
export const leaseNoSchema = z.int().positive();
