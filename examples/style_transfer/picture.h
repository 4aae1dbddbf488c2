// Pictures and the loss curve on their way from and to files.
// Knows nothing of networks.
#pragma once

#include <weft/weft.h>

#include <string>
#include <vector>

/// A photo as [1, 3, H, W] with 0..255: the longer side at most `size`, both multiples of 8, as near to the photo's
/// aspect as these allow.
weft::Tensor load_picture(const std::string& path, int64_t size);
/// Prints a line where height x width is another aspect than that of the picture [H, W, 3] by more than 1 %.
void tell_aspect(const std::string& path, const weft::Shape& picture, int64_t height, int64_t width);
inline const std::vector<std::string> kPictureEndings = {".png", ".jpg", ".jpeg"};
/// IoError where `path` will not do for a result: no folder to write to, or a folder itself, or another ending than
/// these (when there are any), or one of the files that are read.
void check_output(const std::string& path, const std::vector<std::string>& endings,
                  const std::vector<std::string>& inputs = {});
/// Clamped and rounded.
void save_picture(const weft::Tensor& x, const std::string& path);
/// The pictures side by side, all as high as the last.
void save_side_by_side(const std::vector<weft::Tensor>& pictures, const std::string& path);

/// One evaluation of the loss and its weighted parts.
struct Losses {
  double total, content, style;
};
/// An SVG drawing of the losses over the steps, with a logarithmic scale. A failure leaves what was there.
void save_curve(const std::vector<Losses>& rows, const std::string& path);

/// "out.png" -> "out-0010.png".
std::string numbered(const std::string& path, int64_t step);
