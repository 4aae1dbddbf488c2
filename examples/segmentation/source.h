// Pictures and masks to learn from: a folder in CamVid's or Pascal VOC's layout, or street scenes that are drawn.
// Knows no network.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "classes.h"

/// A dataset of any kind: picture u8 [3, H, W], mask i64 [H, W].
class Pictures {
 public:
  Pictures() = default;
  template <weft::data::PlainDataset D> explicit Pictures(D d) : size_(d.size()) {
    auto held = std::make_shared<const D>(std::move(d));
    get_ = [held](int64_t i) { return held->get(i); };
    name_ = [held](int64_t i) { return weft::data::sample_name(*held, i); };
  }
  int64_t size() const { return size_; }
  weft::data::Example get(int64_t i) const { return get_(i); }
  std::string name(int64_t i) const { return name_(i); }

 private:
  int64_t size_ = 0;
  std::function<weft::data::Example(int64_t)> get_;
  std::function<std::string(int64_t)> name_;
};

struct SourceOptions {
  std::string data;           ///< a folder; empty: scenes are drawn
  std::string classes;        ///< a file or a list; empty: those of the layout, or the folder's classes.txt
  int64_t ignore_index = -1;  ///< -1: the layout's
  std::vector<int64_t> size;  ///< pictures are scaled to this shorter side, or height and width; empty: as they are
  int64_t scenes = 400;       ///< to draw for training; a tenth of them, 20 at least, to evaluate on
  uint64_t seed = 1;          ///< of the scenes
  int64_t cache = 1024;       ///< MiB of decoded pictures that are kept
};

class Source {
 public:
  /// IoError for a folder that has neither layout, or no good list of classes.
  explicit Source(SourceOptions o);
  const Classes& classes() const { return classes_; }
  /// What pictures are scaled to, in words.
  std::string size_text() const;
  /// Files are listed here; IoError, by name, for those that are missing.
  Pictures pictures(const std::string& split) const;
  /// "camvid: CamVid's layout, 11 classes".
  std::string str() const;

 private:
  enum class Layout { drawn, camvid, voc };
  SourceOptions o_;
  Layout layout_ = Layout::drawn;
  Classes classes_;
};

/// Scaled as `size` says (see SourceOptions); the mask by nearest.
weft::data::Example scaled(weft::data::Example e, const std::vector<int64_t>& size);
/// Draws scenes as files in CamVid's layout. IoError where the folder has some already, unless `force`.
void write_scenes(const std::string& folder, int64_t train, int64_t val, int64_t height, int64_t width, uint64_t seed,
                  bool force);
