#include "weft/data/combine.h"

#include <cmath>
#include <numeric>

#include "weft/core/factory.h"

namespace weft::data::impl {

void check_same_size(const char* what, int64_t first, int64_t other) {
  WEFT_CHECK(first == other, ValueError, what, ": datasets of ", first, " and of ", other, " samples");
}

void check_repeats(int64_t times, int64_t size) {
  WEFT_CHECK(times >= 0, ValueError, "repeat: times must not be negative, got ", times);
  WEFT_CHECK(size == 0 || times <= INT64_MAX / size, ValueError, "repeat: ", times, " times ", size,
             " samples are more than 63 bits count");
}

void check_indices(const std::vector<int64_t>& indices, int64_t size) {
  for (const int64_t i : indices) check_index("subset", i, size);
}

std::vector<int64_t> split_lengths(int64_t size, const std::vector<double>& fractions) {
  double sum = 0;
  for (const double f : fractions) {
    WEFT_CHECK(f >= 0 && f <= 1, ValueError, "random_split: fraction ", f, "; expected numbers from 0 to 1");
    sum += f;
  }
  // Sums of decimal fractions miss 1 by some roundings.
  WEFT_CHECK(std::abs(sum - 1) <= 1e-9, ValueError, "random_split: the fractions' sum is ", sum, "; expected 1");
  std::vector<int64_t> lengths;
  int64_t left = size;
  for (const double f : fractions) {
    lengths.push_back(static_cast<int64_t>(std::floor(static_cast<double>(size) * f)));
    left -= lengths.back();
  }
  for (size_t i = 0; left > 0; ++i, --left) ++lengths[i % lengths.size()];
  return lengths;
}

std::vector<std::vector<int64_t>> split_indices(int64_t size, std::vector<int64_t> lengths, Generator* g) {
  for (const int64_t n : lengths) WEFT_CHECK(n >= 0, ValueError, "random_split: lengths must not be negative, got ", n);
  const int64_t sum = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  WEFT_CHECK(sum == size, ValueError, "random_split: the lengths' sum is ", sum, " but the dataset has ", size,
             " samples");
  const Tensor order = randperm(size, Dtype::i64, g);
  const int64_t* p = order.data<int64_t>();
  std::vector<std::vector<int64_t>> parts;
  for (const int64_t n : lengths) {
    parts.emplace_back(p, p + n);
    p += n;
  }
  return parts;
}

}  // namespace weft::data::impl
