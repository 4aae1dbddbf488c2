// Numbers in a StateDict, as tensors: exact, whatever they are; and lists of numbers. Internal to train.
#pragma once

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "weft/core/factory.h"
#include "weft/core/state_dict.h"

namespace weft::training {

/// The dict with `value`, an int64_t or a double, under that name.
template <class T> StateDict with_number(StateDict dict, const std::string& key, T value) {
  dict.insert(key, scalar(value, dtype_v<T>));
  return dict;
}

/// ValueError unless the dict has that tensor, of that dtype and shape.
inline const Tensor& checked(const StateDict& dict, const std::string& key, Dtype dtype, const Shape& shape) {
  const Tensor& t = dict.at(key);
  WEFT_CHECK(t.dtype() == dtype && t.shape() == shape, ValueError, key, " is ", t.dtype(), " ", t.shape(), ", not ",
             dtype, " ", shape);
  return t;
}
template <class T> T number_of(const StateDict& dict, const std::string& key) {
  return checked(dict, key, dtype_v<T>, {}).template item<T>();
}
inline std::vector<int64_t> integers_of(const StateDict& dict, const std::string& key, int64_t count) {
  return checked(dict, key, Dtype::i64, {count}).to_vector<int64_t>();
}

/// The mean of those that are not NaN; NaN where all are.
inline double mean_of(const std::vector<double>& numbers) {
  double sum = 0, count = 0;
  for (const double x : numbers)
    if (!std::isnan(x)) sum += x, ++count;
  return count > 0 ? sum / count : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace weft::training
