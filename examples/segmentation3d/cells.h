// Draws volumes of cells as an electron microscope shows them, with their membranes, to learn on without data.
// Knows random numbers and tensors only.
#pragma once

#include <weft/weft.h>

#include <cstdint>

struct Cells {
  weft::Tensor image;     ///< u8 [D, H, W]
  weft::Tensor membrane;  ///< u8 [D, H, W], 1 is membrane
};

/// size: [D, H, W]; Cells are a Voronoi tessellation in a space that is bent by noise,
/// their borders are of different thickness. Inside are mitochondria and vesicles, which are no membrane; all of it is
/// textured, blurred and noisy, and slices differ in brightness. The same seed draws the same volume.
Cells draw_cells(const weft::Shape& size, uint64_t seed);
