// Pictures of slices with their membranes. Knows tensors only.
#pragma once

#include <weft/weft.h>

#include <vector>

/// Grey values f32 [H, W] -> u8 [H, W, 3], with the mean at 125 and the standard deviation as 60.
weft::Tensor grey_picture(const weft::Tensor& slice, double mean, double std);
/// The picture with membranes drawn on it in orange, as strongly as they are probable. probability: f32 [H, W].
weft::Tensor draw_membranes(const weft::Tensor& picture, const weft::Tensor& probability);
/// The picture with membranes that are right in green, that are missing in blue and that are not there in red.
weft::Tensor draw_agreement(const weft::Tensor& picture, const weft::Tensor& probability, const weft::Tensor& truth);
/// Pictures of one height beside each other, with white between.
weft::Tensor beside(const std::vector<weft::Tensor>& pictures);
/// Pictures of one width below each other, with white between.
weft::Tensor below(const std::vector<weft::Tensor>& pictures);
/// The middle of x [H, W] or [H, W, 3], no side longer than `most`.
weft::Tensor middle_of(const weft::Tensor& x, int64_t most);
