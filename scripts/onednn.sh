#!/usr/bin/env bash
# Unpacks the pinned oneDNN 3.2.0 wheels (GNU OpenMP) into PREFIX/onednn.
#   scripts/onednn.sh [PREFIX]     default: .deps in the repository
# Does nothing when it is there already; takes the wheels from the cache when they are, so it works offline then.
# WEFT_CACHE names the cache folder (default ~/.cache/weft).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
prefix=${1:-$root/.deps}
pins=$root/scripts/onednn.req.txt
cache=${WEFT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weft}/wheels
stamp=$prefix/onednn/.pins-$(sha256sum < "$pins" | cut -c1-16)
[ -e "$stamp" ] && exit 0

mkdir -p "$prefix" "$cache"
exec 9> "$prefix/.lock"
flock 9                                   # two configures at once must not unpack over each other
[ -e "$stamp" ] && exit 0

# The system's Python first: a shim in PATH may lack pip or point to a version that is gone.
py=
for candidate in "${PYTHON:-}" /usr/bin/python3 python3; do
  if [ -n "$candidate" ] && "$candidate" -m pip --version > /dev/null 2>&1; then py=$candidate; break; fi
done
if [ -z "$py" ]; then
  echo "oneDNN: no Python with pip found; run scripts/deps.sh (Debian: python3-pip), or set PYTHON" >&2
  exit 1
fi

work=$(mktemp -d "$prefix/.unpack.XXXXXX")
trap 'rm -rf "$work"' EXIT
# pip checks every file against the pinned sha256, those from the cache too.
download() {
  "$py" -m pip download -q --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
    -d "$work/wheels" -r "$pins" "$@"
}
if ! download --no-index --find-links "$cache" 2> /dev/null; then
  echo "oneDNN: fetching the pinned wheels (39 MB)"
  if ! download 2> "$work/pip.log"; then
    tail -n 3 "$work/pip.log" >&2
    echo "oneDNN: cannot fetch onednn_cpu_gomp-2023.2.0-*.whl and onednn_devel_cpu_gomp-2023.2.0-*.whl;" \
         "put these two files into $cache and run again" >&2
    exit 1
  fi
  cp -n "$work"/wheels/*.whl "$cache"/ || true
fi

for wheel in "$work"/wheels/*.whl; do "$py" -m zipfile -e "$wheel" "$work/x"; done
mkdir "$work/onednn"
for data in "$work"/x/*.data/data; do cp -r "$data"/. "$work/onednn"/; done
# Wheels hold no links: three equal copies of 54 MB each become one file and two links.
cd "$work/onednn/lib"
chmod 755 libdnnl.so.3.2
ln -sf libdnnl.so.3.2 libdnnl.so.3
ln -sf libdnnl.so.3 libdnnl.so
cd "$root"
rm -rf "$prefix/onednn"
touch "$work/onednn/$(basename "$stamp")"
mv "$work/onednn" "$prefix/onednn"
echo "oneDNN: unpacked into $prefix/onednn"
