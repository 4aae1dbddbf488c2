// Pictures of what a network sees: coloured labels, overlays, legends, the confusion of classes.
// Knows labels and classes; no network. Pictures are u8 [H, W, 3].
#pragma once

#include <string>
#include <vector>

#include "classes.h"

/// Each label in its class's colour; what is no class, in dark grey.
weft::Tensor coloured(const weft::Tensor& labels, const Classes& classes);
/// The photo with the classes' colours over it and lines between them.
weft::Tensor overlay(const weft::Tensor& photo, const weft::Tensor& labels, const Classes& classes);
/// One under the other: rows of pictures side by side. Pictures of a row are of one height, rows of one width.
weft::Tensor sheet(const std::vector<std::vector<weft::Tensor>>& rows);
/// Names and colours of the classes that `labels` has, `width` pixels wide.
weft::Tensor legend(const weft::Tensor& labels, const Classes& classes, int64_t width);
/// Rows are the truth, columns what it was taken for; each row in percent of its truth.
weft::Tensor confusion_picture(const weft::training::ConfusionMatrix& matrix, const Classes& classes);
