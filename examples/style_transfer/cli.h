// The commands of MSG-Net.
#pragma once

#include <string>

#include "../common/command_line.h"

/// Adds `train` and `apply`. `command_line`: the whole of it, for the file that training writes.
void add_msgnet_commands(CLI::App& app, const std::string& command_line);
