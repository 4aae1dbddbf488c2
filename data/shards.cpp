#include "weft/data/shards.h"

#include <algorithm>

#include "weft/io/folder.h"
#include "weft/io/safetensors.h"

namespace weft::data {

struct SafetensorsShards::Content {
  struct Shard {
    std::string file;
    Tensor data, target;
    int64_t begin;  // the number of its first row
  };
  std::vector<Shard> shards;
  int64_t size = 0;

  const Shard& of(int64_t i) const {
    check_index("SafetensorsShards", i, size);
    // Of shards that begin at one row all but the last are empty.
    return *std::prev(
        std::upper_bound(shards.begin(), shards.end(), i, [](int64_t n, const Shard& s) { return n < s.begin; }));
  }
};

namespace {

std::vector<std::string> shard_files(const std::string& path) {
  if (!io::is_folder(path)) return {path};
  std::vector<std::string> files;
  for (const std::string& name : io::files_in(path))
    if (io::has_ending(name, ".safetensors")) files.push_back(io::join_path(path, name));
  WEFT_CHECK(!files.empty(), IoError, path, ": there are no .safetensors files in it");
  return files;
}

Tensor rows_of(const io::SafetensorsFile& file, const std::string& path, const std::string& name) {
  WEFT_CHECK(file.contains(name), IoError, path, ": has no tensor '", name, "'");
  Tensor x = file.load(name);
  WEFT_CHECK(x.rank() > 0, IoError, path, ": its tensor '", name, "' has no rows");
  return x;
}

void require_like(const Tensor& x, const Tensor& first, const std::string& path, const std::string& name) {
  WEFT_CHECK(x.dtype() == first.dtype() && x.shape().slice(1) == first.shape().slice(1), IoError, path,
             ": its tensor '", name, "' is ", x.dtype(), " ", x.shape(), ", in the first shard ", first.dtype(), " ",
             first.shape());
}

}  // namespace

SafetensorsShards::SafetensorsShards(const std::string& path, const SafetensorsShardsOptions& o)
    : SafetensorsShards(shard_files(path), o) {}

SafetensorsShards::SafetensorsShards(const std::vector<std::string>& files, const SafetensorsShardsOptions& o) {
  WEFT_CHECK(!files.empty(), ValueError, "SafetensorsShards: there are no files");
  auto content = std::make_shared<Content>();
  for (const std::string& path : files) {
    const io::SafetensorsFile file(path);
    Content::Shard shard{path, rows_of(file, path, o.data), {}, content->size};
    const bool first = content->shards.empty();
    if (first ? file.contains(o.target) : content->shards[0].target.defined()) {
      shard.target = rows_of(file, path, o.target);
      WEFT_CHECK(shard.target.size(0) == shard.data.size(0), IoError, path, ": has ", shard.data.size(0), " rows in '",
                 o.data, "' and ", shard.target.size(0), " in '", o.target, "'");
    } else {
      WEFT_CHECK(first || !file.contains(o.target), IoError, path, ": has a tensor '", o.target,
                 "', which the first shard lacks");
    }
    if (!first) {
      require_like(shard.data, content->shards[0].data, path, o.data);
      if (shard.target.defined()) require_like(shard.target, content->shards[0].target, path, o.target);
    }
    content->size += shard.data.size(0);
    content->shards.push_back(std::move(shard));
  }
  content_ = std::move(content);
}

int64_t SafetensorsShards::size() const { return content_->size; }

Example SafetensorsShards::get(int64_t i) const {
  const Content::Shard& s = content_->of(i);
  return {s.data.select(0, i - s.begin), s.target.defined() ? s.target.select(0, i - s.begin) : Tensor(), name(i)};
}

std::string SafetensorsShards::name(int64_t i) const {
  const Content::Shard& s = content_->of(i);
  return str(s.file, "[", i - s.begin, "]");
}

}  // namespace weft::data
