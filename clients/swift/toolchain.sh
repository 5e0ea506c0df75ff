#!/bin/sh
# Swift 6 for the package, from the repository's root:
#
#   clients/swift/toolchain.sh COMMAND …   runs a command with Swift: the one on the PATH, else Debian's
#   clients/swift/toolchain.sh --run FILE …  runs a program that it built, with the libraries of that Swift but outside of it
#   clients/swift/toolchain.sh --where     prints which Swift that is; fails with the reason if there is none
#   clients/swift/toolchain.sh --make      makes Debian's Swift in SWIFT_ROOT unless there is one; needs root, and debootstrap
#                                          or an apt-get that installs it
#
# SWIFT_ROOT is a Debian trixie of its own (0.6 GB to fetch, 2.5 GB on disk; by default below the user's cache folder),
# entered by chroot. Its mounts live in a mount namespace of the command, so they vanish with it, however it ends.
set -eu
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
SWIFT_ROOT=${SWIFT_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/digit-loop/swift-trixie}

fail() {
  echo "swift: $1" >&2
  exit 1
}

inside() {
  mkdir -p "$SWIFT_ROOT$ROOT"
  exec unshare --mount --propagation private sh -c '
    set -e
    chroot=$1 root=$2
    shift 2
    mount -t proc proc "$chroot/proc"
    mount --rbind /dev "$chroot/dev"
    mount --bind "$root" "$chroot$root"
    exec chroot "$chroot" sh -c "cd \"\$0\" && exec \"\$@\"" "$root" "$@"' sh "$SWIFT_ROOT" "$ROOT" "$@"
}

# The inner loader finds the inner libraries; files, network and process are those of the caller.
outside() {
  for loader in "$SWIFT_ROOT"/lib64/ld-linux-*.so.? "$SWIFT_ROOT"/lib/ld-linux-*.so.?; do
    if [ -e "$loader" ]; then
      libraries=$(printf '%s:' "$SWIFT_ROOT/usr/libexec/swift/lib/swift/linux" "$SWIFT_ROOT"/usr/lib/*-linux-gnu)
      exec "$loader" --library-path "$libraries" "$@"
    fi
  done
  fail "expected a loader in $SWIFT_ROOT/lib64 or lib, found none; remove the folder and run make swift"
}

where() {
  if command -v swift >/dev/null 2>&1; then
    command -v swift
  elif [ ! -L "$SWIFT_ROOT/usr/bin/swift" ] && [ ! -x "$SWIFT_ROOT/usr/bin/swift" ]; then  # a link of the inner root
    fail "expected swift on the PATH or in $SWIFT_ROOT (SWIFT_ROOT), found none; make swift installs it there"
  elif [ "$(id -u)" != 0 ] || ! unshare --mount true 2>/dev/null; then
    fail "found $SWIFT_ROOT/usr/bin/swift, but only root may enter it (chroot and mounts)"
  else
    echo "$SWIFT_ROOT/usr/bin/swift"
  fi
}

get_debootstrap() {
  if command -v debootstrap >/dev/null; then return; fi
  if command -v apt-get >/dev/null; then
    echo "swift: installing debootstrap" >&2
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends debootstrap; } >&2 || true
  fi
  command -v debootstrap >/dev/null || fail "expected debootstrap, or an apt-get that installs it, or swift 6 on the PATH"
}

make_it() {
  if (where) 2>/dev/null; then return; fi  # in a shell of its own, which `fail` may leave
  [ "$(id -u)" = 0 ] || fail "expected root for debootstrap and chroot, or swift 6 on the PATH"
  unshare --mount true 2>/dev/null || fail "expected the right to mount, or swift 6 on the PATH"
  get_debootstrap
  making=$SWIFT_ROOT.making
  rm -rf "$making"
  mkdir -p "$making"
  # shellcheck disable=SC2086  # an empty SWIFT_MIRROR is no argument: debootstrap has a default
  debootstrap --variant=minbase trixie "$making" ${SWIFT_MIRROR:-} >"$SWIFT_ROOT.log" 2>&1 ||
    fail "debootstrap failed; $SWIFT_ROOT.log has its messages"
  unshare --mount --propagation private sh -ec '
    mount -t proc proc "$1/proc"
    mount --rbind /dev "$1/dev"
    export DEBIAN_FRONTEND=noninteractive
    chroot "$1" apt-get install -qq --no-install-recommends swiftlang libc6-dev libstdc++-14-dev gcc libssl-dev git
    chroot "$1" apt-get clean' sh "$making" >>"$SWIFT_ROOT.log" 2>&1 ||
    fail "installing swiftlang failed; $SWIFT_ROOT.log has its messages"
  mv "$making" "$SWIFT_ROOT"
  where
}

case ${1:-} in
  --where) where ;;
  --make) make_it ;;
  --run)
    shift
    if command -v swift >/dev/null 2>&1; then exec "$@"; fi
    outside "$@"
    ;;
  '' | -*) fail "expected a command, --run, --where or --make" ;;
  *)
    where >/dev/null
    if command -v swift >/dev/null 2>&1; then
      cd "$ROOT"
      exec "$@"
    fi
    inside "$@"
    ;;
esac
