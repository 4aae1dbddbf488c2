// Style pictures drawn by the program itself, so that the demo needs none.
// Knows nothing of networks.
#pragma once

#include <weft/weft.h>

#include <cstdint>
#include <string>
#include <vector>

/// Writes woven.png, mosaic.png, waves.png, marble.png, shards.png and dots.png of size x size pixels into `folder`,
/// and prints their paths. IoError, and nothing is drawn, where one of them is there already, unless `overwrite`.
void draw_styles(const std::string& folder, int64_t size, bool overwrite);
/// The same with scene-000.png, ...: landscapes and still lifes, to learn on where photos are few.
void draw_scenes(const std::string& folder, int64_t count, int64_t size, bool overwrite);
/// The style of that name ("waves", "waves.png", "folder/waves.png") as u8 [size, size, 3], or nothing.
weft::Tensor drawn_style(const std::string& name, int64_t size);
/// woven, mosaic, waves, marble, shards, dots.
std::vector<std::string> drawn_style_names();
