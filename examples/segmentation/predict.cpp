#include "predict.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "../common/interrupt.h"
#include "../common/picture_files.h"
#include "pictures.h"

using namespace weft;
namespace fs = std::filesystem;

namespace {

constexpr int64_t kLookedAt = 600;  // pixels

}  // namespace

std::vector<std::string> predict(Model& model, const PredictOptions& o) {
  const std::vector<std::string> photos = picture_files(o.photos);
  std::map<std::string, std::string> by_name;
  for (const std::string& photo : photos) {
    const auto [it, first] = by_name.emplace(fs::path(photo).stem().string(), photo);
    WEFT_CHECK(first, IoError, photo, ": has the name of ", it->second, ", and results are named after the photos");
  }
  fs::create_directories(o.out);
  std::vector<std::string> written;
  InterruptFlag flag;
  io::Progress bar("predict", std::ssize(photos));
  for (size_t i = 0; i < photos.size() && !flag.raised(); ++i) {
    const Tensor photo = io::read_image(photos[i]);
    const Tensor labels = labels_of(model.net, photo, o.side < 0 ? model.shorter_side : o.side, o.on);
    const std::string base = (fs::path(o.out) / fs::path(photos[i]).stem()).string();
    // small photos are enlarged, so that there is something to look at
    const int64_t times = std::max<int64_t>(1, kLookedAt / std::max(photo.size(0), photo.size(1))),
                  H = times * photo.size(0), W = times * photo.size(1);
    const Tensor large = io::resize_image(photo, H, W);
    const Tensor both = sheet(
        {{large, overlay(large, io::resize_image(labels, H, W, io::ResizeFilter::nearest), model.classes)}});
    io::write_image(sheet({{both}, {legend(labels, model.classes, both.size(1))}}), base + "_overlay.png");
    io::write_labels(labels, base + "_labels.png", model.classes.file_palette());
    written.push_back(base + "_overlay.png");
    written.push_back(base + "_labels.png");
    bar.update(static_cast<int64_t>(i) + 1);
  }
  return written;
}
