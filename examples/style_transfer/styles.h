// Style pictures drawn by the program itself, so that the demo needs none.
// Knows nothing of networks.
#pragma once

#include <cstdint>
#include <string>

/// Writes woven.png, mosaic.png, waves.png, marble.png, shards.png and dots.png of size x size pixels into `folder`, and
/// prints their paths.
void draw_styles(const std::string& folder, int64_t size);
/// The same with scene-000.png, ...: landscapes and still lifes, to learn on where photos are few.
void draw_scenes(const std::string& folder, int64_t count, int64_t size);
