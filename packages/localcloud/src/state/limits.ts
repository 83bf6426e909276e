/** Every bound of the state folder, named with its unit. */

export const stateLimits = {
  /** What a holder tells about itself. */
  holderBytesMax: 16 * 1024,
  /** How long a holder may take to say who it is. */
  holderAnswerMaxMs: 1_000,
  /** Tries to take a hold whose holder dies at the same moment. */
  holdTries: 20,
  holdRetryMs: 25,
  /** After an unclean end: how long a remembered port may still be held by processes that are on their way out. */
  portReleaseMaxMs: 5_000,
  portPollMs: 50,
  /** A secret, in random bytes, before it is written as base64url. */
  secretBytes: 32,
  /** One log file, and how many of a role are kept: the newest and older ones. */
  logFileBytesMax: 5 * 1024 * 1024,
  logFilesMax: 3,
} as const;
