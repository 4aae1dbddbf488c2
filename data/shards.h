// Samples in safetensors files: each file has rows of one tensor for data and one for targets.
// Knows io's reader of safetensors.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "weft/data/dataset.h"

namespace weft::data {

/// Options of SafetensorsShards.
struct SafetensorsShardsOptions {
  std::string data = "data", target = "target";  ///< names of the tensors; a target that no shard has is undefined
};

/// Row i of all shards' data [n, ...] and target [n, ...], one shard behind the other. Files are mapped: rows are views
/// of them, read when they are used. IoError names the shard that lacks a tensor, or has another dtype, row shape or
/// number of targets.
///     io::save(dict, "shards/train-000.safetensors");
///     data::SafetensorsShards train("shards");
class WEFT_API SafetensorsShards {
 public:
  /// One file, or all *.safetensors of a folder, sorted by name.
  explicit SafetensorsShards(const std::string& path, const SafetensorsShardsOptions& o = {});
  explicit SafetensorsShards(const std::vector<std::string>& files, const SafetensorsShardsOptions& o = {});
  /// Rows of all shards.
  int64_t size() const;
  Example get(int64_t i) const;
  /// FILE[row].
  std::string name(int64_t i) const;

 private:
  struct Content;
  std::shared_ptr<const Content> content_;
};

}  // namespace weft::data
