// What the commands' options share: checks of numbers, and one line for what is wrong.
#pragma once

#include <CLI/CLI.hpp>
#include <array>
#include <cmath>
#include <cstdint>
#include <string>

/// A finite number above 0, or 0 itself too: CLI11's own checks let NaN through.
CLI::Validator finite_number(bool zero);
/// cpu, cuda or cuda:N.
CLI::Validator device_name();
/// A whole number from `least` to `most` that `step` divides.
CLI::Validator multiple_of(int64_t step, int64_t least, int64_t most);
/// FIRST:END, slices from 0 on without END.
CLI::Validator slice_range();
std::array<int64_t, 2> parse_range(const std::string& text);

/// Parses, and runs the commands' callbacks. 0, or 2 after one line about wrong usage. `--help` prints and ends the
/// program.
int parse(CLI::App& app, int argc, char** argv);
