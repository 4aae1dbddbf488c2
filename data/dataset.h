// What a dataset is: a small concept that users' own types satisfy. Knows tensors and the generator.
//
//     struct Squares {
//       int64_t size() const { return 100; }
//       data::Example get(int64_t i) const { return {tensor(double(i)), tensor(double(i * i))}; }
//     };
//     data::Loader loader(Squares(), {.batch_size = 8, .shuffle = true});
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>

#include "weft/core/generator.h"
#include "weft/core/tensor.h"

namespace weft::data {

/// What weft's own datasets give: an input, what is to be learnt of it (a class [], a mask [H, W], ...; may be
/// undefined), and where it came from, for errors and reports.
struct Example {
  Tensor data, target = {};  ///< the input; what is to be learnt of it
  std::string name = {};     ///< where it came from
};

/// `get(i)` for 0 <= i < size(); the same i gives the same sample at any time and on any thread, several at once.
template <class D>
concept PlainDataset = requires(const D& d, int64_t i) {
  { d.size() } -> std::convertible_to<int64_t>;
  d.get(i);
};
/// The same with random numbers: `get(i, g)` depends on i and on what g draws. A loader gives each sample a generator
/// of its own, made of its seed, the epoch and i, so that the numbers do not depend on threads or their order.
template <class D>
concept RandomDataset = requires(const D& d, int64_t i, Generator& g) {
  { d.size() } -> std::convertible_to<int64_t>;
  d.get(i, g);
};
template <class D>
concept Dataset = PlainDataset<D> || RandomDataset<D>;

/// Samples without a number of their own, one after the other until there are none: `std::optional<T> next()`. A loader
/// calls it on one thread at a time. `void reset()`, where there is one, starts again: it is called before each epoch.
template <class S>
concept Stream = requires(S& s) {
  *s.next();
  static_cast<bool>(s.next());
};

/// Sample i of either kind.
template <Dataset D> decltype(auto) get(const D& d, int64_t i, Generator& g) {
  if constexpr (RandomDataset<D>) return d.get(i, g);
  else return d.get(i);
}
template <Dataset D>
using sample_t = std::remove_cvref_t<decltype(data::get(std::declval<const D&>(), 0, std::declval<Generator&>()))>;

/// What sample i is called in errors and reports, such as its file: `d.name(i)` where there is one, else nothing.
template <Dataset D> std::string sample_name(const D& d, int64_t i) {
  if constexpr (requires {
                  { d.name(i) } -> std::convertible_to<std::string>;
                })
    return d.name(i);
  else return {};
}

/// ValueError, in the name of `what`, unless 0 <= i < size.
WEFT_API void check_index(const char* what, int64_t i, int64_t size);

}  // namespace weft::data
