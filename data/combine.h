// Datasets made of others: mapped, side by side, one behind the other, in part, repeated, kept in memory. All are
// datasets again, hold copies of what they were given, and give random numbers on to the parts that take them.
//
//     const auto parts = data::random_split(dataset, {0.8, 0.2});
//     const auto train = data::map(parts[0], [](data::Example e, Generator& g) { ...; return e; });
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "weft/core/mutex.h"
#include "weft/data/dataset.h"

namespace weft::data {

namespace impl {
template <class F, class S>
concept DrawsFrom = std::invocable<const F&, S, Generator&>;
/// ValueError, in the name of `what`, where the sizes differ.
WEFT_API void check_same_size(const char* what, int64_t first, int64_t other);
/// Random index lists of those lengths; ValueError unless they sum to size.
WEFT_API std::vector<std::vector<int64_t>> split_indices(int64_t size, std::vector<int64_t> lengths, Generator* g);
/// Lengths of those fractions of size; ValueError unless they are a partition of 1.
WEFT_API std::vector<int64_t> split_lengths(int64_t size, const std::vector<double>& fractions);
/// ValueError for negative times; for an index outside of [0, size).
WEFT_API void check_repeats(int64_t times, int64_t size);
WEFT_API void check_indices(const std::vector<int64_t>& indices, int64_t size);
}  // namespace impl

/// f(sample) or f(sample, generator) of each sample.
template <Dataset D, class F>
requires(impl::DrawsFrom<F, sample_t<D>> || std::invocable<const F&, sample_t<D>>) class Map {
  static constexpr bool kDraws = impl::DrawsFrom<F, sample_t<D>>;

 public:
  Map(D dataset, F f) : dataset_(std::move(dataset)), f_(std::move(f)) {}
  /// The dataset's.
  int64_t size() const { return dataset_.size(); }
  /// f of sample i, on the caller's thread.
  auto get(int64_t i) const requires(!kDraws && !RandomDataset<D>) { return std::invoke(f_, dataset_.get(i)); }
  auto get(int64_t i, Generator& g) const requires(kDraws || RandomDataset<D>) {
    if constexpr (kDraws) return std::invoke(f_, data::get(dataset_, i, g), g);
    else return std::invoke(f_, data::get(dataset_, i, g));
  }
  /// The dataset's name of sample i.
  std::string name(int64_t i) const { return sample_name(dataset_, i); }

 private:
  D dataset_;
  F f_;
};
/// f is called by several threads at once.
template <Dataset D, class F>
requires(impl::DrawsFrom<F, sample_t<D>> || std::invocable<const F&, sample_t<D>>) Map<D, F> map(D dataset, F f) {
  return {std::move(dataset), std::move(f)};
}

/// Sample i of each, as a std::tuple.
template <Dataset... D> class Zip {
  static constexpr bool kRandom = (RandomDataset<D> || ...);

 public:
  explicit Zip(D... datasets) : datasets_(std::move(datasets)...) { (void)size(); }
  /// ValueError if the datasets' sizes differ.
  int64_t size() const {
    return std::apply(
        [](const auto& first, const auto&... others) {
          (impl::check_same_size("zip", first.size(), others.size()), ...);
          return static_cast<int64_t>(first.size());
        },
        datasets_);
  }
  /// A tuple of sample i of each.
  auto get(int64_t i) const requires(!kRandom) {
    return std::apply([&](const auto&... d) { return std::tuple<sample_t<D>...>{d.get(i)...}; }, datasets_);
  }
  auto get(int64_t i, Generator& g) const requires kRandom {
    return std::apply([&](const auto&... d) { return std::tuple<sample_t<D>...>{data::get(d, i, g)...}; }, datasets_);
  }
  /// The first that has a name.
  std::string name(int64_t i) const {
    std::string found;
    const auto look = [&](const auto& d) {
      if (found.empty()) found = sample_name(d, i);
    };
    std::apply([&](const auto&... d) { (look(d), ...); }, datasets_);
    return found;
  }

 private:
  std::tuple<D...> datasets_;
};
/// ValueError unless all have one size. Equivalent: torch.utils.data.StackDataset.
template <Dataset... D>
requires(sizeof...(D) > 0) Zip<D...> zip(D... datasets) { return Zip<D...>(std::move(datasets)...); }

/// The samples of a list of datasets of one type, one dataset after the other.
template <Dataset D> class Concat {
 public:
  explicit Concat(std::vector<D> datasets) : datasets_(std::move(datasets)) {}
  /// The sum of the datasets' sizes.
  int64_t size() const {
    int64_t n = 0;
    for (const D& d : datasets_) n += d.size();
    return n;
  }
  /// ValueError for i outside of [0, size()).
  auto get(int64_t i) const requires(!RandomDataset<D>) {
    const auto [d, k] = find(i);
    return datasets_[d].get(k);
  }
  auto get(int64_t i, Generator& g) const requires RandomDataset<D> {
    const auto [d, k] = find(i);
    return datasets_[d].get(k, g);
  }
  /// The name that its dataset has for it.
  std::string name(int64_t i) const {
    const auto [d, k] = find(i);
    return sample_name(datasets_[d], k);
  }

 private:
  std::pair<size_t, int64_t> find(int64_t i) const {
    check_index("concat", i, size());
    size_t d = 0;
    for (; i >= datasets_[d].size(); ++d) i -= datasets_[d].size();
    return {d, i};
  }
  std::vector<D> datasets_;
};
/// Two datasets of different types and one type of sample.
template <Dataset A, Dataset B>
requires std::same_as<sample_t<A>, sample_t<B>>
class Chain {
  static constexpr bool kRandom = RandomDataset<A> || RandomDataset<B>;

 public:
  Chain(A a, B b) : a_(std::move(a)), b_(std::move(b)) {}
  /// The sum of both sizes.
  int64_t size() const { return a_.size() + b_.size(); }
  /// ValueError for i outside of [0, size()).
  sample_t<A> get(int64_t i) const requires(!kRandom) {
    check_index("concat", i, size());
    if (i < a_.size()) return a_.get(i);
    return b_.get(i - a_.size());
  }
  sample_t<A> get(int64_t i, Generator& g) const requires kRandom {
    check_index("concat", i, size());
    if (i < a_.size()) return data::get(a_, i, g);
    return data::get(b_, i - a_.size(), g);
  }
  /// The name that its dataset has for it.
  std::string name(int64_t i) const { return i < a_.size() ? sample_name(a_, i) : sample_name(b_, i - a_.size()); }

 private:
  A a_;
  B b_;
};
/// Equivalent: torch.utils.data.ConcatDataset.
template <Dataset D> Concat<D> concat(std::vector<D> datasets) { return Concat<D>(std::move(datasets)); }
template <Dataset A, Dataset B, Dataset... More> auto concat(A a, B b, More... more) {
  if constexpr (sizeof...(More) == 0) return Chain<A, B>(std::move(a), std::move(b));
  else return data::concat(Chain<A, B>(std::move(a), std::move(b)), std::move(more)...);
}

/// The samples of these indices, in their order.
template <Dataset D> class Subset {
 public:
  /// ValueError for an index that the dataset has not.
  Subset(D dataset, std::vector<int64_t> indices) : dataset_(std::move(dataset)), indices_(std::move(indices)) {
    impl::check_indices(indices_, dataset_.size());
  }
  /// Number of indices; sample i is the dataset's sample indices()[i].
  int64_t size() const { return std::ssize(indices_); }
  auto get(int64_t i) const requires(!RandomDataset<D>) { return dataset_.get(at(i)); }
  auto get(int64_t i, Generator& g) const requires RandomDataset<D> { return dataset_.get(at(i), g); }
  std::string name(int64_t i) const { return sample_name(dataset_, at(i)); }
  const std::vector<int64_t>& indices() const { return indices_; }

 private:
  int64_t at(int64_t i) const {
    check_index("subset", i, size());
    return indices_[static_cast<size_t>(i)];
  }
  D dataset_;
  std::vector<int64_t> indices_;
};
/// Equivalent: torch.utils.data.Subset.
template <Dataset D> Subset<D> subset(D dataset, std::vector<int64_t> indices) {
  return {std::move(dataset), std::move(indices)};
}

/// Subsets without common samples, at random: of these lengths, whose sum is the dataset's size, or of these fractions,
/// whose sum is 1: floor(fraction * size) samples, and one more for the first ones until none is left. ValueError
/// otherwise. `g` defaults to this thread's generator. Equivalent: torch.utils.data.random_split.
template <Dataset D, class T>
requires std::is_arithmetic_v<T> std::vector<Subset<D>> random_split(const D& dataset, const std::vector<T>& parts,
                                                                     Generator* g = nullptr) {
  std::vector<int64_t> lengths;
  if constexpr (std::is_floating_point_v<T>)
    lengths = impl::split_lengths(dataset.size(), {parts.begin(), parts.end()});
  else lengths.assign(parts.begin(), parts.end());
  std::vector<Subset<D>> subsets;
  for (auto& indices : impl::split_indices(dataset.size(), std::move(lengths), g))
    subsets.emplace_back(dataset, std::move(indices));
  return subsets;
}
template <Dataset D, class T>
requires std::is_arithmetic_v<T> std::vector<Subset<D>> random_split(const D& dataset, std::initializer_list<T> parts,
                                                                     Generator* g = nullptr) {
  return random_split(dataset, std::vector<T>(parts), g);
}

/// The dataset `times` times in one epoch. Each time draws random numbers of its own.
template <Dataset D> class Repeat {
 public:
  /// ValueError for negative times, and for more samples than 63 bits count.
  Repeat(D dataset, int64_t times) : dataset_(std::move(dataset)), times_(times) {
    impl::check_repeats(times, dataset_.size());
  }
  /// Samples of all times; sample i is the dataset's sample i modulo its size.
  int64_t size() const { return dataset_.size() * times_; }
  auto get(int64_t i) const requires(!RandomDataset<D>) { return dataset_.get(at(i)); }
  auto get(int64_t i, Generator& g) const requires RandomDataset<D> { return dataset_.get(at(i), g); }
  std::string name(int64_t i) const { return sample_name(dataset_, at(i)); }

 private:
  int64_t at(int64_t i) const {
    check_index("repeat", i, size());
    return i % dataset_.size();
  }
  D dataset_;
  int64_t times_;
};
/// ValueError for negative times, and for more samples than 63 bits count.
template <Dataset D> Repeat<D> repeat(D dataset, int64_t times) { return {std::move(dataset), times}; }

/// Bytes that a sample keeps in memory: the storages of its tensors, texts, numbers, and of pairs, tuples, vectors,
/// arrays and maps of them.
template <class S> int64_t sample_bytes(const S& s) {
  if constexpr (std::same_as<S, Tensor>) {
    return static_cast<int64_t>(sizeof s + (s.defined() ? sizeof(TensorImpl) + s.impl()->storage->bytes() : 0));
  } else if constexpr (std::same_as<S, std::string>) {
    return static_cast<int64_t>(sizeof s + s.capacity());
  } else if constexpr (std::same_as<S, Example>) {
    return sample_bytes(s.data) + sample_bytes(s.target) + sample_bytes(s.name);
  } else if constexpr (requires { s.begin() == s.end(); }) {
    int64_t n = 0;
    for (const auto& part : s) n += sample_bytes(part);
    return n;
  } else if constexpr (requires { std::tuple_size<S>::value; }) {
    return std::apply([](const auto&... part) { return (int64_t{0} + ... + sample_bytes(part)); }, s);
  } else {
    static_assert(std::is_arithmetic_v<S> || std::is_enum_v<S>,
                  "the size of this type of sample is not known: give cache() a function that says it");
    return sizeof s;
  }
}

/// Options of cache.
struct CacheOptions {
  int64_t bytes = int64_t{1} << 30;  ///< the most that is kept
};
/// Keeps samples in memory when they are first asked for, until there is no room; these stay, the others are made anew
/// each time. What it gives shares memory with what it keeps: write to a clone.
template <Dataset D> class Cache {
 public:
  /// A sample of the dataset.
  using Sample = sample_t<D>;
  Cache(D dataset, const CacheOptions& o, std::function<int64_t(const Sample&)> bytes_of)
      : dataset_(std::move(dataset)), options_(o), bytes_of_(std::move(bytes_of)) {}
  /// The dataset's.
  int64_t size() const { return dataset_.size(); }
  /// From memory, or made by the dataset.
  Sample get(int64_t i) const {
    {
      const MutexLock lock(kept_->mutex);
      const auto at = kept_->samples.find(i);
      if (at != kept_->samples.end()) return at->second;
    }
    Sample sample = dataset_.get(i);
    const int64_t bytes = bytes_of_(sample);
    const MutexLock lock(kept_->mutex);
    if (kept_->bytes + bytes <= options_.bytes && kept_->samples.emplace(i, sample).second) kept_->bytes += bytes;
    return sample;
  }
  /// The dataset's name of sample i.
  std::string name(int64_t i) const { return sample_name(dataset_, i); }
  /// Bytes that are kept now.
  int64_t bytes() const {
    const MutexLock lock(kept_->mutex);
    return kept_->bytes;
  }

 private:
  struct Kept {
    Mutex mutex;
    std::unordered_map<int64_t, Sample> samples;
    int64_t bytes = 0;
  };
  D dataset_;
  CacheOptions options_;
  std::function<int64_t(const Sample&)> bytes_of_;
  std::shared_ptr<Kept> kept_ = std::make_shared<Kept>();  // copies of the dataset share it
};
/// `bytes_of(sample)` is needed for samples of users' own types only.
template <Dataset D> Cache<D> cache(D dataset, const CacheOptions& o = {}) {
  static_assert(!RandomDataset<D>, "a cache would keep the first random numbers for ever: cache first, then transform");
  return {std::move(dataset), o, sample_bytes<sample_t<D>>};
}
template <Dataset D, class F> Cache<D> cache(D dataset, const CacheOptions& o, F bytes_of) {
  static_assert(!RandomDataset<D>, "a cache would keep the first random numbers for ever: cache first, then transform");
  return {std::move(dataset), o, std::move(bytes_of)};
}

}  // namespace weft::data
