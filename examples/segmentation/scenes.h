// Street scenes that are drawn, with their masks: roads, pavements, houses, trees, cars, people, signs, in all
// weathers. Knows no data set and no network.
#pragma once

#include <weft/weft.h>

/// The scene of that number, the same on every machine: picture u8 [3, height, width], mask i64 [height, width] of
/// CamVid's classes, 11 where nothing is said.
weft::data::Example draw_scene(uint64_t number, int64_t height, int64_t width);
