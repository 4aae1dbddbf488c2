#include "weft/io/cifar.h"

#include <cstring>

#include "weft/core/factory.h"
#include "weft/io/stored.h"

namespace weft::io {

namespace {

constexpr size_t kPixels = 3 * 32 * 32;

/// Records of label bytes, each below its limit, and pixels.
std::vector<Tensor> read_records(const Input& from, const std::vector<int>& limits) {
  const Source source = Source::of(from);
  const size_t record = limits.size() + kPixels, size = source.bytes.size(), n = size / record;
  if (n == 0 || size % record != 0) {
    const std::string kind = recognised(source.bytes);
    source.fail(weft::str("is no CIFAR file of records of ", record, " bytes: it has ", size, " bytes",
                          kind.empty() ? "" : " and is " + kind));
  }
  const auto count = static_cast<int64_t>(n);
  std::vector<Tensor> labels;
  for (size_t l = 0; l < limits.size(); ++l) {
    labels.push_back(empty({count}, Dtype::i64));
    int64_t* out = labels.back().mut_data<int64_t>();
    for (size_t i = 0; i < n; ++i) {
      out[i] = std::to_integer<int64_t>(source.bytes[i * record + l]);
      if (out[i] >= limits[l]) source.fail(weft::str("picture ", i, " has the label ", out[i], " of ", limits[l]));
    }
  }
  Tensor images = empty({count, 3, 32, 32}, Dtype::u8);
  uint8_t* out = images.mut_data<uint8_t>();
  for (size_t i = 0; i < n; ++i)
    std::memcpy(out + i * kPixels, source.bytes.data() + i * record + limits.size(), kPixels);
  labels.push_back(images);
  return labels;
}

}  // namespace

CifarBatch read_cifar10(const Input& from) {
  const std::vector<Tensor> t = read_records(from, {10});
  return {t[1], t[0], {}};
}

CifarBatch read_cifar100(const Input& from) {
  const std::vector<Tensor> t = read_records(from, {20, 100});
  return {t[2], t[1], t[0]};
}

}  // namespace weft::io
