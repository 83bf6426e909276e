/** A supervised Node process must not outlive its supervisor, not even one that was killed. */

/**
 * Ends this process when the supervisor that spawned it (with an IPC channel) is gone. Call it first thing in a role.
 * Does nothing when the process was started by hand. `onGone` replaces the default end, exit code 1: it must end the
 * process too, and soon, since the next stack may be starting already.
 */
export function exitWithParent(onGone: () => void = () => process.exit(1)): void {
  if (process.channel === undefined) return;
  if (!process.connected) {
    onGone(); // it died before we got here
    return;
  }
  process.once("disconnect", onGone);
  // The channel alone does not keep a process alive that has finished its work.
  process.channel.unref();
}
