#!/usr/bin/env bash
# Prints the path of a Spin that runs, the model checker of tests/model: the one on the PATH, or Debian's own package
# unpacked into .cache/oracles/spin, which asks for no root and changes nothing outside of this folder. A second call
# finds it there. Says what to install where it cannot be had.
#
#   spin=$(tools/oracles/spin.sh)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
folder=$root/.cache/oracles/spin
# What the model was checked with; an older one may lack a flag that tests/model/run.ts gives.
oldest=6.5.0

fail() {
  printf 'spin: %s\n' "$1" >&2
  printf 'fix: %s\n' "$2" >&2
  exit 1
}

# True for an executable that starts, is Spin (of other programs by this name there are some) and is new enough.
works() {
  local version
  version=$("$1" -V 2>/dev/null </dev/null | sed -n 's/^Spin Version \([0-9][0-9.]*\).*/\1/p') || return 1
  [ -n "$version" ] && [ "$(printf '%s\n' "$oldest" "$version" | sort -V | head -n 1)" = "$oldest" ]
}

# Spin writes the search as a C program, and reads the model through the C preprocessor.
gcc -x c -fsyntax-only - 2>/dev/null <<<'#include <stdio.h>' ||
  fail "a C compiler with its headers is needed (gcc), and there is none" "apt-get install -y gcc libc6-dev"

if found=$(command -v spin) && works "$found"; then
  printf '%s\n' "$found"
  exit 0
fi
if works "$folder/usr/bin/spin"; then
  printf '%s\n' "$folder/usr/bin/spin"
  exit 0
fi

by_hand="put Spin $oldest or newer on the PATH: apt-get install -y spin"
for tool in apt-get dpkg; do
  command -v "$tool" >/dev/null || fail "not on the PATH, and '$tool' is not here to fetch Debian's package" "$by_hand"
done

mkdir -p "$(dirname "$folder")"
work=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$work"' EXIT
options=(-q)
# Root's apt hands the download to a user of its own, who may not be let into this folder.
if [ "$(id -u)" = 0 ]; then options+=(-o APT::Sandbox::User=root); fi
download() { (cd "$work" && apt-get "${options[@]}" download spin) >"$work/log" 2>&1; }

# The lists name a version that the archive may have replaced since, or are not there at all; only root renews them.
if ! download; then
  [ "$(id -u)" = 0 ] || fail "apt cannot download it: $(tail -n 1 "$work/log")" "as root: apt-get update, then again; or $by_hand"
  apt-get "${options[@]}" update >"$work/log" 2>&1 || fail "apt-get update failed: $(tail -n 1 "$work/log")" "$by_hand"
  download || fail "apt cannot download it: $(tail -n 1 "$work/log")" "$by_hand"
fi
dpkg -x "$work"/spin_*.deb "$work/unpacked"
works "$work/unpacked/usr/bin/spin" || fail "what apt downloaded does not run, or is older than $oldest" "$by_hand"
# Two at once bring the same; the one who comes second keeps what is there.
rm -rf "$folder"
mv -T "$work/unpacked" "$folder" 2>/dev/null || works "$folder/usr/bin/spin" || fail "cannot write $folder" "$by_hand"
printf '%s\n' "$folder/usr/bin/spin"
