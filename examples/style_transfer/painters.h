// The painters behind the style pictures and the practice scenes: each fills a canvas.
#pragma once

#include "canvas.h"

/// Marbled paper: veins of paint, combed into whorls.
void marble(Canvas& canvas);
/// Leaded glass: flat panes in strong colours between dark lines.
void shards(Canvas& canvas);
/// Rows of paint dots on a dark ground, around waterholes.
void dots(Canvas& canvas);

/// A landscape or a still life, another one for each number: something to practise on that is no photo.
void scene(Canvas& canvas, uint32_t number);
