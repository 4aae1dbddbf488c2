#include "weft/data/datasets.h"

#include <map>

#include "weft/core/factory.h"
#include "weft/data/picture.h"
#include "weft/io/folder.h"

namespace weft::data {

TensorDataset::TensorDataset(const Tensor& data, const Tensor& target)
    : data_(data.detach()), target_(target.defined() ? target.detach() : target) {
  WEFT_CHECK(data_.rank() > 0 && (!target_.defined() || target_.rank() > 0), ShapeError,
             "TensorDataset: a tensor of rank 0 has no rows");
  WEFT_CHECK(!target_.defined() || target_.size(0) == data_.size(0), ShapeError, "TensorDataset: data ", data_.shape(),
             " and target ", target_.shape(), " have different numbers of rows");
}

Example TensorDataset::get(int64_t i) const {
  check_index("TensorDataset", i, size());
  return {data_.select(0, i), target_.defined() ? target_.select(0, i) : Tensor()};
}

struct ImageFolder::Content {
  std::vector<std::string> classes, files;
  std::vector<int64_t> labels;  // of files
  int channels;
  int64_t reduce_to;
};

ImageFolder::ImageFolder(const std::string& root, const ImageFolderOptions& o) {
  check_options("ImageFolder", o.channels);
  auto content = std::make_shared<Content>();
  content->channels = o.channels;
  WEFT_CHECK(o.reduce_to >= 0, ValueError, "ImageFolder: reduce_to ", o.reduce_to, " is negative");
  content->reduce_to = o.reduce_to;
  content->classes = io::folders_in(root);
  WEFT_CHECK(!content->classes.empty(), IoError, root, ": has no folders, of which ImageFolder makes classes");
  std::vector<std::string> empty_classes;
  for (size_t c = 0; c < content->classes.size(); ++c) {
    const std::string folder = io::join_path(root, content->classes[c]);
    for (const std::string& name : io::files_below(folder))
      if (io::is_picture_name(name)) content->files.push_back(io::join_path(folder, name));
    if (content->files.size() == content->labels.size()) empty_classes.push_back(content->classes[c]);
    content->labels.resize(content->files.size(), static_cast<int64_t>(c));
  }
  WEFT_CHECK(o.allow_empty || empty_classes.empty(), IoError, root, ": there are no pictures (.png, .jpg, .jpeg) in ",
             some_of(empty_classes), "; allow_empty lets such classes pass");
  WEFT_CHECK(!content->files.empty(), IoError, root, ": there are no pictures (.png, .jpg, .jpeg) in its folders");
  content_ = std::move(content);
}

int64_t ImageFolder::size() const { return static_cast<int64_t>(content_->files.size()); }

Example ImageFolder::get(int64_t i) const {
  const std::string& file = name(i);
  const int64_t label = content_->labels[static_cast<size_t>(i)];
  return {read_picture(file, content_->channels, content_->reduce_to), full({}, label, Dtype::i64), file};
}

const std::vector<std::string>& ImageFolder::classes() const { return content_->classes; }

const std::vector<int64_t>& ImageFolder::labels() const { return content_->labels; }

const std::string& ImageFolder::name(int64_t i) const {
  check_index("ImageFolder", i, size());
  return content_->files[static_cast<size_t>(i)];
}

struct MaskedImages::Content {
  const char* name;
  std::vector<Files> files;
  MaskOptions options;
};

MaskedImages::MaskedImages(const char* name, std::vector<Files> files, const MaskOptions& o) {
  check_options(name, o.channels);
  WEFT_CHECK(o.num_classes >= 0, ValueError, name, ": num_classes ", o.num_classes, " is negative");
  content_ = std::make_shared<const Content>(Content{name, std::move(files), o});
}

int64_t MaskedImages::size() const { return static_cast<int64_t>(content_->files.size()); }

Example MaskedImages::get(int64_t i) const {
  const std::string& path = image_path(i);
  Tensor picture = read_picture(path, content_->options.channels);
  Tensor mask = read_mask(mask_path(i), picture, path, content_->options);
  return {std::move(picture), std::move(mask), path};
}

const std::string& MaskedImages::image_path(int64_t i) const {
  check_index(content_->name, i, size());
  return content_->files[static_cast<size_t>(i)].image;
}

const std::string& MaskedImages::mask_path(int64_t i) const {
  check_index(content_->name, i, size());
  return content_->files[static_cast<size_t>(i)].mask;
}

namespace {

/// Path without ending -> path, of the pictures below a folder.
std::map<std::string, std::string> pictures_by_name(const std::string& folder, const std::string& suffix) {
  std::map<std::string, std::string> found;
  for (const std::string& path : io::files_below(folder)) {
    if (!io::is_picture_name(path)) continue;
    std::string key = io::without_ending(path);
    if (!key.ends_with(suffix)) raise<IoError>(io::join_path(folder, path), ": its name lacks the suffix ", suffix);
    key.resize(key.size() - suffix.size());
    const auto [at, fresh] = found.emplace(key, path);
    WEFT_CHECK(fresh, IoError, folder, ": ", at->second, " and ", path, " have one name but for their endings");
  }
  WEFT_CHECK(!found.empty(), IoError, folder, ": there are no pictures (.png, .jpg, .jpeg) in it");
  return found;
}

}  // namespace

ImageMaskFolders::ImageMaskFolders(const std::string& images, const std::string& masks, const MaskOptions& o)
    : MaskedImages(
          "ImageMaskFolders",
          [&] {
            const auto pictures = pictures_by_name(images, ""), labels = pictures_by_name(masks, o.mask_suffix);
            std::vector<std::string> alone;
            std::vector<Files> files;
            for (const auto& [key, path] : pictures) {
              const auto mask = labels.find(key);
              if (mask == labels.end()) alone.push_back(path);
              else files.push_back({io::join_path(images, path), io::join_path(masks, mask->second)});
            }
            WEFT_CHECK(alone.empty(), IoError, images, ": ", alone.size(), " of ", pictures.size(),
                       " pictures have no mask in ", masks, ": ", some_of(alone));
            for (const auto& [key, path] : labels)
              if (!pictures.contains(key)) alone.push_back(path);
            WEFT_CHECK(alone.empty(), IoError, masks, ": ", alone.size(), " of ", labels.size(),
                       " masks have no picture in ", images, ": ", some_of(alone));
            return files;
          }(),
          o) {}

}  // namespace weft::data
