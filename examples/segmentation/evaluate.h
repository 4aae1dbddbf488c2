// What a network makes of a data set, in numbers and in pictures.
// Knows no command line.
#pragma once

#include <string>

#include "model_file.h"
#include "source.h"

struct RunOn {
  weft::Device device = "cpu";
  weft::Dtype dtype = weft::Dtype::f32;  ///< of convolutions and products; the rest stays f32
};

/// Scores of normalised pictures [N, 3, H, W], f32 on the CPU. The network is left in the mode that it had.
weft::Tensor scores_of(EncNetLite& net, const weft::Tensor& x, const RunOn& on);
/// Counts over whole pictures, eight at a time where they are of one size. A damaged file is an IoError; with `skip` it
/// is left out, with a line on standard error.
weft::training::ConfusionMatrix evaluate(EncNetLite& net, const Classes& classes, const Pictures& pictures,
                                         const RunOn& on, bool skip = false);
/// The labels of a photo u8 [H, W, 3], i64 [H, W]. The network sees it with a shorter side of `side` pixels, 0: as it
/// is; its scores are interpolated to the photo's pixels.
weft::Tensor labels_of(EncNetLite& net, const weft::Tensor& photo, int64_t side, const RunOn& on);
/// Rows of photo, truth and prediction of some pictures, with a legend.
weft::Tensor examples_sheet(EncNetLite& net, const Classes& classes, const Pictures& pictures, int64_t rows,
                            const RunOn& on, bool skip_damaged);
/// "mIoU 0.536, pixel accuracy 0.878".
std::string summary(const weft::training::ConfusionMatrix& matrix);
