// What the commands' options share.
#pragma once

#include <CLI/CLI.hpp>
#include <cmath>
#include <string>

/// A finite number above 0, or 0 itself too: CLI11's own checks let NaN through.
inline CLI::Validator finite_number(bool zero) {
  auto check = [zero](const std::string& text) -> std::string {
    double v = NAN;
    if (CLI::detail::lexical_cast(text, v) && std::isfinite(v) && (v > 0 || (zero && v == 0))) return "";
    return text + " is no finite number " + (zero ? ">= 0" : "> 0");
  };
  return {check, zero ? ">= 0" : "> 0"};
}

/// Adds `train` and `apply`. `command_line`: the whole of it, for the file that training writes.
void add_msgnet_commands(CLI::App& app, const std::string& command_line);
