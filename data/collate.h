// Batches of samples: tensors of one shape become one tensor with a new first axis, structures go member by member.
// A batch grows sample by sample, so that each is copied once, into the batch's memory. Knows no dataset, no threads.
//
// A struct of your own takes part by a function beside it:
//
//     struct Scan { Tensor slices; double spacing; };
//     struct Scans { Tensor slices, spacing; };
//     Scans collate(const std::vector<Scan>& s) {
//       return {data::collate(s, &Scan::slices), data::collate(s, &Scan::spacing)};
//     }
#pragma once

#include <array>
#include <concepts>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "weft/core/factory.h"
#include "weft/data/dataset.h"

namespace weft::data {

/// How tensors come together. StackSamples: all of one shape and dtype, [...] -> Tensor [N, ...]. The first sample's
/// order of axes in memory is the batch's: pictures that are views of [H, W, C] make a channels-last batch.
struct StackSamples {};
/// Sizes may differ: -> Padded, filled up with `value` at the end of each axis.
struct PadSamples {
  double value = 0;  ///< what fills up; the tensors' dtype must hold it
};
/// Anything: -> std::vector<Tensor>, nothing is copied.
struct ListSamples {};

/// What PadSamples makes of tensors of one rank.
struct Padded {
  Tensor data;     ///< [N, the largest size of each axis]
  Tensor lengths;  ///< i64 [N], sizes of the samples' first axis (1 for rank 0)
  Tensor sizes;    ///< i64 [N, rank], all of their sizes
};

/// A batch of Examples. T: Tensor, Padded or std::vector<Tensor>, by the policy. A target that no sample has is
/// undefined.
template <class T = Tensor> struct ExampleBatch {
  T data, target;                  ///< the samples' data and targets, together
  std::vector<std::string> names;  ///< of the samples, in their order
};

namespace impl {

/// What is the same for all parts of a batch.
template <class P> struct CollateSettings {
  P policy;          ///< StackSamples, PadSamples, ListSamples or a function
  bool pin = false;  // into pinned memory
};

// Rows<S, P> takes samples of type S one by one: `check` throws without a change, `add` comes after `check`, `finish`
// gives the batch. `field` says in errors which part of the sample it is.

/// Rows of tensors of one shape. `capacity`: how many rows the batch has at most.
class WEFT_API StackedRows {
 public:
  StackedRows(int64_t capacity, const CollateSettings<StackSamples>& s, std::string field);
  void check(const Tensor& x) const;
  void add(const Tensor& x);
  Tensor finish();

 private:
  int64_t capacity_, rows_ = 0, undefined_ = 0;
  bool pin_;
  std::string field_;
  Tensor batch_;
};

/// Tensors that are kept until the batch is made.
class WEFT_API KeptRows {
 public:
  explicit KeptRows(std::string field) : field_(std::move(field)) {}
  void add(Tensor x) { kept_.push_back(std::move(x)); }

 protected:
  std::string field_;
  std::vector<Tensor> kept_;
};
/// Rows of tensors of one rank.
class WEFT_API PaddedRows : public KeptRows {
 public:
  PaddedRows(int64_t, const CollateSettings<PadSamples>& s, std::string field)
      : KeptRows(std::move(field)), settings_(s) {}
  void check(const Tensor& x) const;
  Padded finish();

 private:
  CollateSettings<PadSamples> settings_;
};
/// Rows of any tensors.
class WEFT_API ListedRows : public KeptRows {
 public:
  ListedRows(int64_t, const CollateSettings<ListSamples>& s, std::string field)
      : KeptRows(std::move(field)), pin_(s.pin) {}
  void check(const Tensor&) const {}
  std::vector<Tensor> finish();

 private:
  bool pin_;
};

/// ValueError: row `row` of `field` has `got` parts where the first one has `expected`.
[[noreturn]] WEFT_API void raise_length(const std::string& field, size_t row, size_t got, size_t expected);
/// In pinned memory, if it is asked for.
WEFT_API Tensor pinned_if(bool pin, Tensor x);

template <class P>
concept Policy = std::same_as<P, StackSamples> || std::same_as<P, PadSamples> || std::same_as<P, ListSamples>;
template <class T>
concept Number = std::is_integral_v<T> || std::is_enum_v<T> || HasDtype<T>;
/// The element type of a batch of numbers: integers are i64, as indices and classes are; others stay.
template <class T> struct NumberOf { using type = int64_t; };
template <class T>
requires(HasDtype<T> && (std::is_same_v<T, bool> || !std::is_integral_v<T>)) struct NumberOf<T> {
  using type = T;
};
template <class T> using number_t = typename NumberOf<T>::type;

namespace user {
void collate() = delete;  // hides data::collate: only functions beside the sample's type are looked at
template <class S>
concept HasCollate = requires(const std::vector<S>& samples) {
  collate(samples);
};
/// The function beside the type of the samples.
template <class S> auto call(const std::vector<S>& samples) { return collate(samples); }
}  // namespace user

/// Without a specialisation there is no batch of such samples.
template <class S, class P> class Rows {
  static_assert(sizeof(S) == 0,
                "no batch is known for this type of sample: declare `Batch collate(const std::vector<Sample>&)` in its "
                "namespace, or give the loader a function of std::vector<Sample> as its third argument");
};

/// Rows of tensors, by policy.
template <> class Rows<Tensor, StackSamples> : public StackedRows { using StackedRows::StackedRows; };
template <> class Rows<Tensor, PadSamples> : public PaddedRows { using PaddedRows::PaddedRows; };
template <> class Rows<Tensor, ListSamples> : public ListedRows { using ListedRows::ListedRows; };

/// Numbers -> Tensor [N].
template <Number T, Policy P> class Rows<T, P> {
 public:
  Rows(int64_t, const CollateSettings<P>& s, const std::string&) : pin_(s.pin) {}
  void check(const T&) const {}
  void add(T x) { values_.push_back(static_cast<number_t<T>>(x)); }
  Tensor finish() { return pinned_if(pin_, tensor(values_)); }

 private:
  bool pin_;
  std::vector<number_t<T>> values_;
};

/// Texts -> std::vector<std::string>.
template <Policy P> class Rows<std::string, P> {
 public:
  Rows(int64_t, const CollateSettings<P>&, const std::string&) {}
  void check(const std::string&) const {}
  void add(std::string x) { values_.push_back(std::move(x)); }
  std::vector<std::string> finish() { return std::move(values_); }

 private:
  std::vector<std::string> values_;
};

/// Vectors and arrays of numbers, as tensors of rank 1.
template <class C, class P> class NumbersRows {
  using T = typename C::value_type;

 public:
  NumbersRows(int64_t capacity, const CollateSettings<P>& s, const std::string& field) : rows_(capacity, s, field) {}
  void check(const C& x) { rows_.check(row_ = as_tensor(x)); }
  void add(const C&) { rows_.add(std::exchange(row_, {})); }
  auto finish() { return rows_.finish(); }

 private:
  static Tensor as_tensor(const C& x) { return tensor(std::vector<number_t<T>>(x.begin(), x.end())); }
  Rows<Tensor, P> rows_;
  Tensor row_;  // between check and add
};
/// Vectors and arrays of other types, place by place -> std::vector of batches.
template <class C, class P> class PlacesRows {
  using T = typename C::value_type;

 public:
  PlacesRows(int64_t capacity, const CollateSettings<P>& s, std::string field)
      : capacity_(capacity), settings_(s), field_(std::move(field)) {}
  void check(const C& x) {
    if (rows_ == 0) places_.clear();
    if (rows_ == 0)
      for (size_t k = 0; k < x.size(); ++k) places_.emplace_back(capacity_, settings_, str(field_, "[", k, "]"));
    if (places_.size() != x.size()) raise_length(field_, rows_, x.size(), places_.size());
    for (size_t k = 0; k < x.size(); ++k) places_[k].check(x[k]);
  }
  void add(C x) {
    for (size_t k = 0; k < x.size(); ++k) places_[k].add(std::move(x[k]));
    ++rows_;
  }
  auto finish() {
    std::vector<decltype(places_[0].finish())> batch;
    for (auto& place : places_) batch.push_back(place.finish());
    return batch;
  }

 private:
  int64_t capacity_;
  CollateSettings<P> settings_;
  std::string field_;
  size_t rows_ = 0;
  std::vector<Rows<T, P>> places_;
};
template <class C, class P>
/// Rows of vectors and arrays.
using SequenceRows = std::conditional_t<Number<typename C::value_type>, NumbersRows<C, P>, PlacesRows<C, P>>;
/// Rows of vectors, and of arrays.
template <class T, Policy P> class Rows<std::vector<T>, P> : public SequenceRows<std::vector<T>, P> {
  using SequenceRows<std::vector<T>, P>::SequenceRows;
};
template <class T, size_t n, Policy P> class Rows<std::array<T, n>, P> : public SequenceRows<std::array<T, n>, P> {
  using SequenceRows<std::array<T, n>, P>::SequenceRows;
};

/// Pairs and tuples -> the same of batches.
template <class P, class... T> class TupleRows {
 public:
  TupleRows(int64_t capacity, const CollateSettings<P>& s, const std::string& field)
      : TupleRows(capacity, s, field, std::index_sequence_for<T...>()) {}
  template <class S> void check(const S& x) {
    each([&]<size_t k>() { std::get<k>(rows_).check(std::get<k>(x)); });
  }
  template <class S> void add(S x) {
    each([&]<size_t k>() { std::get<k>(rows_).add(std::get<k>(std::move(x))); });
  }

 protected:
  template <size_t... k>
  TupleRows(int64_t capacity, const CollateSettings<P>& s, const std::string& field, std::index_sequence<k...>)
      : rows_(Rows<T, P>(capacity, s, str(field, "<", k, ">"))...) {}
  template <class F> static void each(const F& f) {
    [&]<size_t... k>(std::index_sequence<k...>) { (f.template operator()<k>(), ...); }
    (std::index_sequence_for<T...>());
  }
  std::tuple<Rows<T, P>...> rows_;
};
/// Rows of pairs, and of tuples.
template <class A, class B, Policy P> class Rows<std::pair<A, B>, P> : public TupleRows<P, A, B> {
 public:
  using TupleRows<P, A, B>::TupleRows;
  auto finish() { return std::pair(std::get<0>(this->rows_).finish(), std::get<1>(this->rows_).finish()); }
};
template <class... T, Policy P> class Rows<std::tuple<T...>, P> : public TupleRows<P, T...> {
 public:
  using TupleRows<P, T...>::TupleRows;
  auto finish() {
    return std::apply([](auto&... rows) { return std::tuple(rows.finish()...); }, this->rows_);
  }
};

/// Maps -> the same of batches. All samples have the first one's keys.
template <class K, class T, Policy P> class Rows<std::map<K, T>, P> {
 public:
  Rows(int64_t capacity, const CollateSettings<P>& s, std::string field)
      : capacity_(capacity), settings_(s), field_(std::move(field)) {}
  void check(const std::map<K, T>& x) {
    if (rows_ == 0) parts_.clear();
    if (rows_ == 0)
      for (const auto& [key, part] : x) parts_.try_emplace(key, capacity_, settings_, str(field_, "[", key, "]"));
    if (parts_.size() != x.size()) raise_length(field_, rows_, x.size(), parts_.size());
    for (const auto& [key, part] : x) {
      const auto at = parts_.find(key);
      WEFT_CHECK(at != parts_.end(), ValueError, "collate: sample ", rows_, " of the batch has the key '", key,
                 "', which the first one has not");
      at->second.check(part);
    }
  }
  void add(std::map<K, T> x) {
    for (auto& [key, part] : x) parts_.at(key).add(std::move(part));
    ++rows_;
  }
  auto finish() {
    std::map<K, decltype(parts_.begin()->second.finish())> batch;
    for (auto& [key, part] : parts_) batch.emplace(key, part.finish());
    return batch;
  }

 private:
  int64_t capacity_;
  CollateSettings<P> settings_;
  std::string field_;
  size_t rows_ = 0;
  std::map<K, Rows<T, P>> parts_;
};

/// Rows of Examples -> ExampleBatch.
template <Policy P> class Rows<Example, P> {
 public:
  Rows(int64_t capacity, const CollateSettings<P>& s, const std::string& field)
      : data_(capacity, s, field + ".data"), target_(capacity, s, field + ".target") {}
  void check(const Example& x) {
    data_.check(x.data);
    target_.check(x.target);
  }
  void add(Example x) {
    data_.add(std::move(x.data));
    target_.add(std::move(x.target));
    names_.push_back(std::move(x.name));
  }
  auto finish() {
    using T = decltype(data_.finish());
    return ExampleBatch<T>{data_.finish(), target_.finish(), std::move(names_)};
  }

 private:
  Rows<Tensor, P> data_, target_;
  std::vector<std::string> names_;
};

/// Samples are kept, and a function makes a batch of them: the user's, found beside the sample's type or given in place
/// of a policy.
template <class S> class AllRows {
 public:
  void check(const S&) const {}
  void add(S x) { samples_.push_back(std::move(x)); }

 protected:
  template <class B> static B pinned(bool pin, B batch) {
    if constexpr (requires { B(batch.pin_memory()); }) return pin ? B(batch.pin_memory()) : std::move(batch);
    else return batch;
  }
  std::vector<S> samples_;
};
template <class S, Policy P>
requires user::HasCollate<S>
class Rows<S, P> : public AllRows<S> {
 public:
  Rows(int64_t, const CollateSettings<P>& s, const std::string&) : pin_(s.pin) {}
  auto finish() { return this->pinned(pin_, user::call(this->samples_)); }

 private:
  bool pin_;
};
template <class S, class F>
requires(!Policy<F> && std::invocable<const F&, std::vector<S>>) class Rows<S, F> : public AllRows<S> {
 public:
  Rows(int64_t, const CollateSettings<F>& s, const std::string&) : settings_(s) {}
  auto finish() { return this->pinned(settings_.pin, std::invoke(settings_.policy, std::move(this->samples_))); }

 private:
  const CollateSettings<F>& settings_;
};

/// data::collate, an object so that it is no overload of the users' functions of that name.
struct Collate {
  template <class S, class P = StackSamples>
  auto operator()(const std::vector<S>& samples, const P& policy = {}) const {
    return run<S>(samples, policy, [](const S& s) -> const S& { return s; });
  }
  template <class S, class C, class T, class P = StackSamples>
  auto operator()(const std::vector<S>& samples, T C::*member, const P& policy = {}) const {
    return run<T>(samples, policy, [member](const S& s) -> const T& { return s.*member; });
  }

 private:
  template <class T, class S, class P, class F>
  static auto run(const std::vector<S>& samples, const P& policy, const F& part) {
    const CollateSettings<P> settings{policy};
    Rows<T, P> rows(static_cast<int64_t>(samples.size()), settings, "");
    for (const S& s : samples) {
      rows.check(part(s));
      rows.add(part(s));
    }
    return rows.finish();
  }
};

}  // namespace impl

/// The batch of samples, or of one member of them: `collate(samples)`, `collate(samples, &Scan::slices,
/// data::PadSamples())`. Tensors as the policy says; numbers [N] (integers as i64); texts and Examples (ExampleBatch)
/// in vectors; pairs, tuples, maps and vectors of them member by member; vectors of numbers as tensors of rank 1.
/// ShapeError and DtypeError for a sample that does not fit the first. Gradients do not pass. Equivalent:
/// default_collate of PyTorch.
inline constexpr impl::Collate collate{};

/// What becomes of samples of type S.
template <class S, class P = StackSamples> using batch_t = decltype(std::declval<impl::Rows<S, P>&>().finish());

}  // namespace weft::data
