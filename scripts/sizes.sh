#!/usr/bin/env bash
# Prints the stripped sizes of the library and of a whole CPU installation, and fails over the limits.
#   scripts/sizes.sh [BUILD]     default: build/release
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${1:-build/release}
limit_lib=14000000
limit_all=105000000
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
cmake --install "$build" --prefix "$prefix" --strip > /dev/null
# A CPU installation goes without the one; `make demo` has fetched the other, which is no part of weft.
find "$prefix" \( -name 'libweft_cuda.so' -o -name 'vgg16_*.safetensors' \) -delete
lib=$(find "$prefix" -name libweft.so -printf '%h\n')
# What a machine without these packages would need beside it; libc and libstdc++ are everywhere.
ldd "$lib/libweft.so" | awk '/libopenblas|libgfortran|libquadmath|libgomp|libpng|libjpeg/ {print $3}' |
  while read -r file; do cp -L "$file" "$lib/"; done
strip --strip-unneeded "$lib"/*.so* 2> /dev/null || true

printf '%-28s %12s\n' file bytes
for file in "$lib"/*.so* "$prefix"/bin/*; do
  [ -f "$file" ] && [ ! -L "$file" ] && printf '%-28s %12d\n' "$(basename "$file")" "$(stat -c %s "$file")"
done
all=$(find "$prefix" -type f -printf '%s\n' | awk '{s += $1} END {print s}')
weft=$(stat -L -c %s "$lib/libweft.so")
printf '%-28s %12d\n' "whole CPU installation" "$all"
[ "$weft" -lt $limit_lib ] || { echo "libweft.so is $weft bytes, limit $limit_lib" >&2; exit 1; }
[ "$all" -lt $limit_all ] || { echo "the installation is $all bytes, limit $limit_all" >&2; exit 1; }
