#!/usr/bin/env bash
# Formats the C++ files in place, or only checks them.
#   scripts/format.sh [--check] [FILE...]     default: every file that git knows, and new ones
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tool=clang-format-14       # other versions lay some lines out differently
command -v $tool > /dev/null || { echo "format: $tool is missing (scripts/deps.sh --dev)" >&2; exit 1; }
mode=(-i)
if [ "${1:-}" = --check ]; then mode=(--dry-run -Werror); shift; fi
if [ $# = 0 ]; then
  mapfile -t files < <(git ls-files --cached --others --exclude-standard -- '*.h' '*.cpp' '*.cu' '*.cuh' | sort -u)
else
  files=("$@")
fi
existing=()
for file in "${files[@]}"; do [ ! -f "$file" ] || existing+=("$file"); done
[ ${#existing[@]} = 0 ] || printf '%s\0' "${existing[@]}" | xargs -0 -n 16 -P "$(nproc)" $tool "${mode[@]}" --style=file
