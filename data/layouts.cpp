#include <algorithm>
#include <charconv>

#include "weft/core/factory.h"
#include "weft/data/datasets.h"
#include "weft/data/picture.h"
#include "weft/io/folder.h"

namespace weft::data {

namespace {

std::string last_part(const std::string& path) { return path.substr(path.rfind('/') + 1); }

/// The first word of a line.
std::string first_word(const Line& line) { return line.text.substr(0, line.text.find_first_of(" \t")); }

/// IoError, with list and line, if there is no such file.
void require_file(const std::string& list, const Line& line, const std::string& path) {
  WEFT_CHECK(io::is_file(path), IoError, list, ": line ", line.number, " names ", path, ", which is not there");
}

}  // namespace

CamVid::CamVid(const std::string& root, const std::string& split)
    : MaskedImages("CamVid",
                   [&] {
                     const std::string images = io::join_path(root, split), masks = images + "annot",
                                       list = images + ".txt";
                     std::vector<Files> files;
                     if (io::is_file(list)) {
                       for (const Line& line : read_lines(list)) {
                         const std::string name = last_part(first_word(line));
                         files.push_back({io::join_path(images, name), io::join_path(masks, name)});
                         require_file(list, line, files.back().image);
                         require_file(list, line, files.back().mask);
                       }
                     } else {
                       const ImageMaskFolders all(images, masks);
                       for (int64_t i = 0; i < all.size(); ++i) files.push_back({all.image_path(i), all.mask_path(i)});
                     }
                     return files;
                   }(),
                   {.num_classes = kClasses, .ignore_index = kIgnore}) {}

const std::vector<std::string>& CamVid::classes() {
  static const std::vector<std::string> names = {"sky",        "building", "pole", "road",       "pavement",  "tree",
                                                 "signsymbol", "fence",    "car",  "pedestrian", "bicyclist", "void"};
  return names;
}

VOCSegmentation::VOCSegmentation(const std::string& root, const std::string& split, int year)
    : MaskedImages(
          "VOCSegmentation",
          [&] {
            std::string folder;
            const std::string voc = str("VOC", year);
            for (const std::string& place : {root, io::join_path(root, voc), io::join_path(root, "VOCdevkit/" + voc)})
              if (io::is_folder(io::join_path(place, "JPEGImages"))) folder = place;
            WEFT_CHECK(!folder.empty(), IoError, root, ": has no folder JPEGImages, ", voc, "/JPEGImages or VOCdevkit/",
                       voc, "/JPEGImages");
            const std::string list = io::join_path(folder, "ImageSets/Segmentation/" + split + ".txt");
            std::vector<Files> files;
            for (const Line& line : read_lines(list)) {
              const std::string name = first_word(line);
              files.push_back({io::join_path(folder, "JPEGImages/" + name + ".jpg"),
                               io::join_path(folder, "SegmentationClass/" + name + ".png")});
              require_file(list, line, files.back().image);
              require_file(list, line, files.back().mask);
            }
            return files;
          }(),
          {.num_classes = kClasses, .ignore_index = kIgnore}) {}

const std::vector<std::string>& VOCSegmentation::classes() {
  static const std::vector<std::string> names = {
      "background", "aeroplane", "bicycle",     "bird",  "boat",        "bottle", "bus",
      "car",        "cat",       "chair",       "cow",   "diningtable", "dog",    "horse",
      "motorbike",  "person",    "pottedplant", "sheep", "sofa",        "train",  "tvmonitor"};
  return names;
}

namespace {

/// The two words of a line; the second is empty if there is one only.
std::pair<std::string, std::string> words_of(const Line& line) {
  const char* blanks = line.text.find('\t') == std::string::npos ? " " : "\t";
  const size_t end = line.text.find_first_of(blanks);
  if (end == std::string::npos) return {line.text, ""};
  return {line.text.substr(0, end), line.text.substr(line.text.find_first_not_of(blanks, end))};
}

std::optional<int64_t> integer_of(const std::string& word) {
  int64_t v = 0;
  const char* end = word.data() + word.size();
  const auto [at, error] = std::from_chars(word.data(), end, v);
  return error == std::errc() && at == end ? std::optional(v) : std::nullopt;
}

}  // namespace

struct ListFile::Content {
  enum class Target { none, label, mask };
  struct File {
    std::string image, mask;
    int64_t label;
  };
  std::vector<File> files;
  Target target = Target::none;
  MaskOptions options;
};

ListFile::ListFile(const std::string& list, const ListFileOptions& o) {
  check_options("ListFile", o.masks.channels);
  using Target = Content::Target;
  auto content = std::make_shared<Content>();
  content->options = o.masks;
  const size_t slash = list.rfind('/');
  const std::string root = !o.root.empty() ? o.root : slash == std::string::npos ? "" : list.substr(0, slash + 1);
  const char* kWords[] = {"no target", "a class", "a mask"};
  for (const Line& line : read_lines(list)) {
    const auto [image, second] = words_of(line);
    const std::optional<int64_t> label = integer_of(second);
    const Target target = second.empty() ? Target::none : label ? Target::label : Target::mask;
    if (content->files.empty()) content->target = target;
    WEFT_CHECK(target == content->target, IoError, list, ": line ", line.number, " has ",
               kWords[static_cast<int>(target)], ", the first one ", kWords[static_cast<int>(content->target)]);
    content->files.push_back(
        {io::join_path(root, image), target == Target::mask ? io::join_path(root, second) : "", label.value_or(0)});
    require_file(list, line, content->files.back().image);
    if (target == Target::mask) require_file(list, line, content->files.back().mask);
  }
  content_ = std::move(content);
}

int64_t ListFile::size() const { return static_cast<int64_t>(content_->files.size()); }

const std::string& ListFile::name(int64_t i) const {
  check_index("ListFile", i, size());
  return content_->files[static_cast<size_t>(i)].image;
}

Example ListFile::get(int64_t i) const {
  check_index("ListFile", i, size());
  const Content::File& file = content_->files[static_cast<size_t>(i)];
  Example e{read_picture(file.image, content_->options.channels), {}, file.image};
  if (content_->target == Content::Target::label) e.target = full({}, file.label, Dtype::i64);
  if (content_->target == Content::Target::mask) e.target = read_mask(file.mask, e.data, file.image, content_->options);
  return e;
}

}  // namespace weft::data
