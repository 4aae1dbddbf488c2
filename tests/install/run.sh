#!/usr/bin/env bash
# usage: run.sh BUILD_FOLDER COMPILER
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$1" --prefix "$work/first" > /dev/null
mv "$work/first" "$work/moved"
cmake -S "$here/stranger" -B "$work/build" -G Ninja -DCMAKE_CXX_COMPILER="$2" -DCMAKE_PREFIX_PATH="$work/moved"
cmake --build "$work/build"
env -u LD_LIBRARY_PATH "$work/build/stranger"
# Installed programs start without the build tree's libraries.
for program in "$work"/moved/bin/*; do
  [ -x "$program" ] || continue
  env -u LD_LIBRARY_PATH ldd "$program" | tee "$work/ldd"
  if grep -E 'not found|/build/' "$work/ldd"; then echo "$program: does not stand alone"; exit 1; fi
done
