/** Bounds of the harness. Units are in the names. */

/** A round with more foreign work than this is noisy, cores. */
export const foreignCoresMax = 0.25;
/** A round begins when others use less than this, cores, ... */
export const gateCoresMax = 0.15;
/** ... looked at for this long, milliseconds; ... */
export const gateLookMs = 500;
/** ... or when it has waited this long, milliseconds: then it is likely to be noisy, and says so. */
export const gateWaitMaxMs = 60_000;
/** A child that was told to end is killed after this, milliseconds. */
export const childStopMaxMs = 10_000;
/** A condition is asked again after this, milliseconds. */
export const pollMs = 2;
