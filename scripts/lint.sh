#!/usr/bin/env bash
# Formatting, include rules, and clang-tidy over the files that differ from BASE.
#   scripts/lint.sh [BASE]     default: origin/main, else main; "all" checks every file; configures build/lint
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
failed=0
scripts/format.sh --check || failed=1
python3 scripts/check_includes.py || failed=1

base=${1:-}
if [ -z "$base" ]; then
  for ref in origin/main main HEAD; do
    if git rev-parse -q --verify "$ref" > /dev/null; then base=$ref; break; fi
  done
fi
if [ "$base" = all ]; then
  mapfile -t files < <(git ls-files -- '*.cpp')
else
  mapfile -t files < <({ git diff --name-only --diff-filter=d "$base" -- '*.cpp'
                         git ls-files --others --exclude-standard -- '*.cpp'; } | sort -u)
fi
cmake --preset release -B build/lint -DWEFT_UNITY=OFF > /dev/null      # each file by itself
known=()
for file in "${files[@]}"; do
  # Only what this configuration compiles: the fuzzers and the C++ frontend benchmark may be off.
  if grep -qF "/$file\"" build/lint/compile_commands.json; then known+=("$file"); fi
done
if [ ${#known[@]} != 0 ]; then
  echo "clang-tidy: ${#known[@]} files"
  # g++'s own warning switches mean nothing to clang.
  printf '%s\0' "${known[@]}" | xargs -0 -n 1 -P "$(nproc)" clang-tidy-14 -p build/lint --quiet \
    --extra-arg=-Wno-unknown-warning-option 2> /dev/null || failed=1
fi
exit $failed
