// Ranges of slices on the command line.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "../common/command_line.h"

/// FIRST:END, slices from 0 on without END.
CLI::Validator slice_range();
std::array<int64_t, 2> parse_range(const std::string& text);
