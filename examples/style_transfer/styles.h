// Style pictures drawn by the program itself, so that the demo needs none.
// Knows nothing of networks.
#pragma once

#include <cstdint>
#include <string>

/// Writes woven.png, mosaic.png and waves.png of size x size pixels into `folder`, and prints their paths.
void draw_styles(const std::string& folder, int64_t size);
