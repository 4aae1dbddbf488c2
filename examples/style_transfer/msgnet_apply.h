// Painting pictures of any size with a trained MSG-Net.
// Knows nothing of the command line and of files.
#pragma once

#include "msgnet.h"

/// `picture` (u8 [H, W, 3]) painted in the style whose Gram matrix is G: u8 of the same size. `memory`: bytes that the
/// work may take.
///
/// A picture that fits is painted whole. A larger one is painted in tiles that overlap by as much as a pixel sees. The
/// instance norms need statistics of the whole picture, which no tile has: they are taken from pieces at full size,
/// spread evenly over the picture, as many as the memory holds, and are the same for all tiles. So tiles have no seams;
/// compared with the whole picture, colours and contrast differ by what the sample misses.
weft::Tensor paint(MsgNet& net, const weft::Tensor& G, const weft::Tensor& picture, int64_t memory);

/// Bytes that painting one pixel takes, roughly.
int64_t bytes_per_pixel(const MsgNet& net);

/// How much of a lattice a picture shows: the share of the differences of neighbouring pixels that their place modulo 4
/// explains, for 4 is the pitch of the network's coarsest grid. In windows of 64 x 64; photos and noise have about
/// 0.004. picture: u8 [H, W, 3], both sides above 64.
double lattice(const weft::Tensor& picture);
