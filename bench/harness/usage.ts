/** A command line that is not understood: its reader needs the words and no stack. */
export class UsageError extends Error {}
