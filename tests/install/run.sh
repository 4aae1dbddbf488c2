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
# pkg-config finds the same.
if command -v pkg-config > /dev/null; then
  export PKG_CONFIG_PATH="$work/moved/lib/pkgconfig:$(echo "$work"/moved/lib/*/pkgconfig)"
  # shellcheck disable=SC2046
  "$2" "$here/stranger/main.cpp" $(pkg-config --cflags --libs weft) -o "$work/by_pkg_config"
  env -u LD_LIBRARY_PATH "$work/by_pkg_config"
  pkg-config --atleast-version=0.1 weft
fi

# The name that programs look for has the version.
readelf -d "$work/build/stranger" | grep -q 'NEEDED.*libweft\.so\.0\.1'

# What does not fit says why.
refused() {   # refused WORDS ARGUMENT...
  local words=$1
  shift
  mkdir -p "$work/refused"
  printf 'cmake_minimum_required(VERSION 3.25)\nproject(refused LANGUAGES CXX)\nfind_package(weft %s REQUIRED)\n' "$*" \
    > "$work/refused/CMakeLists.txt"
  rm -rf "$work/refused/build"
  if cmake -S "$work/refused" -B "$work/refused/build" -DCMAKE_PREFIX_PATH="$work/moved" > "$work/said" 2>&1; then
    echo "find_package(weft $*) was not refused"; exit 1
  fi
  tr -s ' \n' ' ' < "$work/said" | grep -q -- "$words" || { cat "$work/said"; echo "no word of: $words"; exit 1; }
}
refused "before 1.0 the first two numbers" 0.2
refused "before 1.0 the first two numbers" 1.0
refused "no component 'vision': it is one library, weft::weft" 0.1 COMPONENTS vision

# Headers: those that weft.h reaches, and no others.
[ -e "$work/moved/include/weft/autograd/ops/layer/conv.h" ]
[ ! -e "$work/moved/include/weft/autograd/ops/elementwise/common.h" ]

# The guides are there, and the example finds its own files.
ls "$work"/moved/share/doc/weft/README.md "$work"/moved/share/doc/weft/docs/extending.md > /dev/null
if [ -x "$work/moved/bin/style_transfer" ]; then
  (cd "$work" && moved/bin/style_transfer apply --content astronaut.jpg --style waves --size 64 --out painted.png)
  [ -s "$work/painted.png" ]
  (cd "$work" && moved/bin/style_transfer optimise --content astronaut.jpg --style waves --features random --size 32 --steps 1 --out o.png)
  if [ ! -e "$work/moved/share/weft/vgg16_relu3_3.safetensors" ]; then
    (cd "$work" && ! moved/bin/style_transfer optimise --content astronaut.jpg --style waves --out o.png 2> said)
    grep -q 'share/weft/assets.py --weights' "$work/said"
  fi
fi

# Installed programs start without the build tree's libraries.
for program in "$work"/moved/bin/*; do
  [ -x "$program" ] && [ "$(head -c 4 "$program" | tail -c 3)" = ELF ] || continue      # weft-run is a script
  env -u LD_LIBRARY_PATH ldd "$program" | tee "$work/ldd"
  if grep -E 'not found|/build/' "$work/ldd"; then echo "$program: does not stand alone"; exit 1; fi
done
