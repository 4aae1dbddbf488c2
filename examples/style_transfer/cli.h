// What the commands' options share.
#pragma once

#include <CLI/CLI.hpp>
#include <cmath>
#include <string>
#include <vector>

/// A finite number above 0, or 0 itself too: CLI11's own checks let NaN through.
inline CLI::Validator finite_number(bool zero) {
  auto check = [zero](const std::string& text) -> std::string {
    double v = NAN;
    if (CLI::detail::lexical_cast(text, v) && std::isfinite(v) && (v > 0 || (zero && v == 0))) return "";
    return text + " is no finite number " + (zero ? ">= 0" : "> 0");
  };
  return {check, zero ? ">= 0" : "> 0"};
}

/// cpu, cuda or cuda:N.
CLI::Validator device_name();

/// A whole number from `least` to `most` that `step` divides.
CLI::Validator multiple_of(int64_t step, int64_t least, int64_t most);

/// "; did you mean 'X'?" with the name that is nearest to `word`, or nothing where none is near.
std::string guess(const std::string& word, const std::vector<std::string>& names);

/// Adds `train` and `apply`. `command_line`: the whole of it, for the file that training writes.
void add_msgnet_commands(CLI::App& app, const std::string& command_line);

/// Parses, and runs the commands' callbacks. 0, or 2 after one line about wrong usage, which guesses what a misspelt
/// word was meant to be.
/// `--help` prints and ends the program.
int parse(CLI::App& app, int argc, char** argv);
