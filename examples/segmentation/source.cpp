#include "source.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "scenes.h"

using namespace weft;
namespace fs = std::filesystem;

namespace {

constexpr int64_t kSceneHeight = 144, kSceneWidth = 192;
constexpr const char* kClassesFile = "classes.txt";

/// Scenes of a seed: those for training and those for evaluation are different ones.
struct DrawnScenes {
  int64_t count, height, width;
  uint64_t first;
  int64_t size() const { return count; }
  data::Example get(int64_t i) const {
    data::Example e = draw_scene(first + static_cast<uint64_t>(i), height, width);
    e.name = name(i);
    return e;
  }
  std::string name(int64_t i) const { return "scene " + std::to_string(i); }
};
uint64_t first_scene(uint64_t seed, bool train) { return (seed * 2 + (train ? 0 : 1)) << 24; }
int64_t held_out(int64_t scenes) { return std::max<int64_t>(20, scenes / 10); }

/// The files of a layout, with other rules for the masks than the layout's own.
class Relabelled : public data::MaskedImages {
 public:
  template <class D>
  Relabelled(const D& d, const data::MaskOptions& o) : data::MaskedImages("segmentation", files_of(d), o) {}

 private:
  template <class D> static std::vector<Files> files_of(const D& d) {
    std::vector<Files> files;
    for (int64_t i = 0; i < d.size(); ++i) files.push_back({d.image_path(i), d.mask_path(i)});
    return files;
  }
};

bool is_voc(const fs::path& root) {
  for (const char* place : {"JPEGImages", "VOC2012/JPEGImages", "VOCdevkit/VOC2012/JPEGImages"})
    if (fs::is_directory(root / place)) return true;
  return false;
}

bool is_camvid(const fs::path& root) {
  for (const char* split : {"train", "val", "test"})
    if (fs::is_directory(root / (std::string(split) + "annot"))) return true;
  return false;
}

}  // namespace

Source::Source(SourceOptions o) : o_(std::move(o)), classes_(camvid_classes()) {
  if (o_.data.empty()) {
    WEFT_CHECK(o_.classes.empty(), ValueError, "--classes goes with --data: drawn scenes have CamVid's");
  } else {
    WEFT_CHECK(fs::is_directory(o_.data), IoError, o_.data, ": is no folder");
    const bool voc = is_voc(o_.data);
    WEFT_CHECK(voc || is_camvid(o_.data), IoError, o_.data,
               ": has neither CamVid's layout (train, trainannot, val, valannot) nor Pascal VOC's (JPEGImages, "
               "SegmentationClass, ImageSets/Segmentation)");
    layout_ = voc ? Layout::voc : Layout::camvid;
    if (voc) classes_ = voc_classes();
    const std::string own = (fs::path(o_.data) / kClassesFile).string();
    const std::string from = !o_.classes.empty() ? o_.classes : fs::exists(own) ? own : "";
    // 255 is void, unless it is CamVid's list with its 11
    if (!from.empty()) {
      Classes read = read_classes(from, 255);
      if (read.names == classes_.names) read.ignore_index = classes_.ignore_index;
      classes_ = std::move(read);
    }
  }
  if (o_.ignore_index >= 0) classes_.ignore_index = o_.ignore_index;
}

Pictures Source::pictures(const std::string& split) const {
  const auto finished = [&](auto dataset) {
    const std::vector<int64_t> size = o_.size;
    auto sized = data::map(std::move(dataset), [size](data::Example e) { return scaled(std::move(e), size); });
    return Pictures(data::cache(std::move(sized), {.bytes = o_.cache << 20}));
  };
  if (layout_ == Layout::drawn) {
    const bool train = split == "train";
    WEFT_CHECK(train || split == "val", ValueError, "drawn scenes have the splits train and val, not '", split, "'");
    const int64_t h = o_.size.empty() ? kSceneHeight : o_.size[0];
    const int64_t w = o_.size.size() > 1 ? o_.size[1] : h * kSceneWidth / kSceneHeight;
    return Pictures(data::cache(DrawnScenes{train ? o_.scenes : held_out(o_.scenes), h, w, first_scene(o_.seed, train)},
                                {.bytes = o_.cache << 20}));
  }
  const data::MaskOptions masks{.num_classes = classes_.size(), .ignore_index = classes_.ignore_index};
  if (layout_ == Layout::voc) return finished(Relabelled(data::VOCSegmentation(o_.data, split), masks));
  return finished(Relabelled(data::CamVid(o_.data, split), masks));
}

std::string Source::size_text() const {
  std::string text;
  for (const int64_t n : o_.size) text += (text.empty() ? "" : " x ") + std::to_string(n);
  return text.empty() ? "as they are" : text;
}

std::string Source::str() const {
  if (layout_ == Layout::drawn) return "no --data: learning on street scenes that this program draws";
  return o_.data + ": " + (layout_ == Layout::voc ? "Pascal VOC's" : "CamVid's") + " layout, " +
         std::to_string(classes_.size()) + " classes";
}

data::Example scaled(data::Example e, const std::vector<int64_t>& size) {
  if (size.empty()) return e;
  data::Size to{size[0], size.size() > 1 ? size[1] : 0};
  to = data::functional::resized({e.data.size(1), e.data.size(2)}, to);
  e.data = data::functional::resize(e.data, to);
  if (e.target.defined())
    e.target = data::functional::resize(e.target, to, {.interpolation = data::Interpolation::nearest_exact});
  return e;
}

void write_scenes(const std::string& folder, int64_t train, int64_t val, int64_t height, int64_t width, uint64_t seed,
                  bool force) {
  const Classes classes = camvid_classes();
  WEFT_CHECK(force || !is_camvid(folder), IoError, folder, ": has pictures already; --force overwrites them");
  io::Progress bar("draw", train + val);
  int64_t done = 0;
  for (const bool training : {true, false}) {
    const std::string split = training ? "train" : "val";
    const fs::path images = fs::path(folder) / split, masks = fs::path(folder) / (split + "annot");
    fs::create_directories(images);
    fs::create_directories(masks);
    const DrawnScenes scenes{training ? train : val, height, width, first_scene(seed, training)};
    for (int64_t i = 0; i < scenes.size(); ++i) {
      const data::Example e = scenes.get(i);
      std::string number = std::to_string(i);
      number.insert(0, 5 - std::min<size_t>(5, number.size()), '0');
      io::write_image(e.data.permute({1, 2, 0}).contiguous(), (images / (number + ".png")).string());
      io::write_labels(e.target, (masks / (number + ".png")).string(), classes.file_palette());
      bar.update(++done);
    }
  }
  std::ofstream((fs::path(folder) / kClassesFile).string()) << class_lines(classes);
}
