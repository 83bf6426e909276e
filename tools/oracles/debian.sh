#!/usr/bin/env bash
# Prints the folder that holds Debian packages unpacked: those named, with what they depend on and this machine has not.
# Nothing is installed, no root is needed, nothing outside of .cache/oracles/NAME changes. A second call finds them there.
# Says what is the matter where they cannot be had.
#
#   root=$(tools/oracles/debian.sh ceph radosgw ceph-mon)
set -euo pipefail
name=${1:?NAME}
shift
[ $# -gt 0 ] || { printf 'usage: debian.sh NAME PACKAGE...\n' >&2; exit 2; }
folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/.cache/oracles/$name
asked="$*"

fail() {
  printf '%s: %s\n' "$name" "$1" >&2
  printf 'fix: %s\n' "$2" >&2
  exit 1
}

# What was asked for is written last, so that half a folder is not taken for one.
whole() { [ "$(cat "$folder/.packages" 2>/dev/null)" = "$asked" ]; }

if whole; then
  printf '%s\n' "$folder"
  exit 0
fi

for tool in apt-get dpkg; do
  command -v "$tool" >/dev/null || fail "'$tool' is not here to fetch Debian's packages" "run it on Debian, or do without"
done

mkdir -p "$(dirname "$folder")"
work=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$work"' EXIT
options=(-q)
# Root's apt hands the download to a user of its own, who may not be let into this folder.
if [ "$(id -u)" = 0 ]; then options+=(-o APT::Sandbox::User=root); fi

# What apt would install, by name. The C library of the machine stays the one in use: another would not fit its loader.
missing() {
  apt-get "${options[@]}" -s --no-install-recommends install "$@" 2>"$work/log" |
    sed -n 's/^Inst \([^ ]*\) .*/\1/p' | grep -vxE 'libc6|libc-bin|libgcc-s1|libstdc\+\+6' || true
}
download() {
  local needed
  needed=$(printf '%s\n' "$@" $(missing "$@") | sort -u)
  # Names hold no space.
  # shellcheck disable=SC2086
  (cd "$work" && apt-get "${options[@]}" download $needed) >"$work/log" 2>&1
}

# The lists name a version that the archive may have replaced since, or are not there at all; only root renews them.
if ! download "$@"; then
  [ "$(id -u)" = 0 ] || fail "apt cannot download them: $(tail -n 1 "$work/log")" "as root: apt-get update, then again"
  apt-get "${options[@]}" update >"$work/log" 2>&1 || fail "apt-get update failed: $(tail -n 1 "$work/log")" "see that apt reaches its mirror"
  rm -f "$work"/*.deb
  download "$@" || fail "apt cannot download them: $(tail -n 1 "$work/log")" "see that this Debian has: $asked"
fi
for package in "$work"/*.deb; do
  dpkg -x "$package" "$work/unpacked" || fail "$(basename "$package") cannot be unpacked" "see whether the disk is full"
done
rm -rf "$work/unpacked/usr/share/doc" "$work/unpacked/usr/share/man"
printf '%s' "$asked" >"$work/unpacked/.packages"
# Two at once bring the same; the one who comes second keeps what is there.
rm -rf "$folder"
mv -T "$work/unpacked" "$folder" 2>/dev/null || whole || fail "cannot write $folder" "see who owns it"
printf '%s\n' "$folder"
