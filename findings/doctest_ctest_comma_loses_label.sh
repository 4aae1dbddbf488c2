#!/usr/bin/env bash
# doctest with CTest: a test case whose name has a comma gets no label, or that of another suite, though ADD_LABELS was
# asked for: `ctest -L` leaves it out and `ctest -LE` runs it.
# Versions: doctest-dev 2.4.9~ds-1 (Debian package), cmake 3.31.6 (PyPI); any C++ compiler.
# Guess:    doctest_discover_tests(... ADD_LABELS 1) labels each case with its suite, whatever the case's name is: the
#           script escapes commas where it registers the test.
# Seen:     of the suite "fast" the case "adds" has the label, "multiplies, then stops" has none, and "waits, then adds"
#           has that of the suite "slow", which has a case "waits": the script asks for a case's suite with the bare name,
#           in which doctest reads two filters. Nothing warns.
# Why it matters: a CI stage that chooses its tests by label (slow ones, those for a sanitizer) silently runs others.
# Exits with 0 while this holds, with 2 where there is no apt-get.
set -euo pipefail
command -v apt-get > /dev/null || { echo "needs apt-get" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q cmake==3.31.6
(cd "$work" && apt-get download -qq doctest-dev=2.4.9~ds-1 2> /dev/null && dpkg -x doctest-dev_*.deb doctest)
mkdir "$work/src"
cat > "$work/src/main.cpp" <<'CPP'
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

TEST_SUITE("fast") {
  TEST_CASE("adds") { CHECK(1 + 1 == 2); }
  TEST_CASE("multiplies, then stops") { CHECK(2 * 2 == 4); }
  TEST_CASE("waits, then adds") { CHECK(1 + 1 == 2); }
}
TEST_SUITE("slow") {
  TEST_CASE("waits") { CHECK(1 == 1); }
}
CPP
cat > "$work/src/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.20)
project(labels CXX)
enable_testing()
find_package(doctest REQUIRED)
include(doctest)
add_executable(cases main.cpp)
target_link_libraries(cases doctest::doctest)
doctest_discover_tests(cases ADD_LABELS 1)
CMAKE
export PATH="$work/venv/bin:$PATH"
cmake -S "$work/src" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/doctest/usr" > /dev/null
cmake --build "$work/build" > /dev/null
labelled() { ctest --test-dir "$work/build" -N "$@" | sed -n 's/^ *Test *#[0-9]*: //p' | sort | paste -sd '|'; }
echo "fast: $(labelled -L fast)"
echo "slow: $(labelled -L slow)"
echo "no label: $(labelled -LE 'fast|slow')"
[ "$(labelled -L fast)" = "adds" ]
[ "$(labelled -L slow)" = "waits|waits, then adds" ]
[ "$(labelled -LE 'fast|slow')" = "multiplies, then stops" ]
