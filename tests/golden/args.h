// Arguments of a golden case by name, with the default of each given where it is read.
// Knows values and tensors; knows no op.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "golden/value.h"
#include "weft/core/factory.h"

namespace golden {

using weft::Dims;
using weft::Dtype;
using weft::Scalar;
using weft::Shape;
using weft::Tensor;

/// What this driver, or weft, does not offer: the case counts as skipped.
struct Skip : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Where all tensors of a run are.
weft::Device& device();
/// x there.
inline Tensor here(const Tensor& x) { return x.defined() ? x.to(device()) : x; }

/// "f32", "bool", ...
Dtype dtype_of(const std::string& word);

/// Arguments by name. An argument that nobody reads is one that the adapter does not know: see check_all_read.
class Args {
 public:
  using Lookup = std::function<Tensor(const std::string& key)>;
  Args(const Value& object, Dtype dtype, Lookup lookup) : object_(&object), dtype_(dtype), lookup_(std::move(lookup)) {}

  /// Given and not null.
  bool has(const std::string& name) const { return !value(name).is_null(); }
  /// Given, be it as null.
  bool given(const std::string& name) const;
  const Value& value(const std::string& name) const;

  int64_t integer(const std::string& name, int64_t otherwise) const;
  int64_t integer(const std::string& name) const;
  double number(const std::string& name, double otherwise) const;
  bool boolean(const std::string& name, bool otherwise) const;
  std::string word(const std::string& name, const std::string& otherwise) const;
  /// An integer counts as a list of one.
  std::vector<int64_t> ints(const std::string& name) const;
  Scalar scalar(const std::string& name, Scalar otherwise) const;
  std::optional<int64_t> opt_integer(const std::string& name) const;
  std::optional<double> opt_number(const std::string& name) const;
  std::optional<bool> opt_boolean(const std::string& name) const;
  std::optional<Shape> opt_ints(const std::string& name) const;
  std::optional<Dtype> opt_dtype(const std::string& name) const;
  /// `{"$tensor": key}`, `{"$zeros": shape}`, or a (nested) list of numbers in the case's dtype; undefined if absent.
  /// The same tensor each time.
  Tensor tensor(const std::string& name) const;
  /// All that are given as `{"$tensor": key}`. Does not count as reading them.
  std::vector<std::pair<std::string, Tensor>> named_tensors() const;
  /// D integers from one or from a list; an empty list counts as absent.
  template <int D> Dims<D> dims(const std::string& name, std::optional<Dims<D>> otherwise = {}) const {
    std::optional<Dims<D>> v = opt_dims<D>(name);
    if (!v) v = otherwise;
    if (!v) throw Misfit("argument " + name + " is missing");
    return *v;
  }
  template <int D> std::optional<Dims<D>> opt_dims(const std::string& name) const {
    const std::vector<int64_t> v = has(name) ? ints(name) : std::vector<int64_t>();
    if (v.empty()) return std::nullopt;
    if (v.size() == 1) return Dims<D>(v[0]);
    if (static_cast<int>(v.size()) != D)
      throw weft::ValueError(name + ": expected 1 or " + std::to_string(D) + " numbers, got " + value(name).text());
    std::array<int64_t, D> a;
    for (int i = 0; i < D; ++i) a[static_cast<size_t>(i)] = v[static_cast<size_t>(i)];
    return Dims<D>(a);
  }

  Dtype dtype() const { return dtype_; }
  Tensor lookup(const std::string& key) const { return lookup_(key); }
  /// Skip that names an argument which was given (not as null) and never read, but for those that change no number.
  void check_all_read() const;
  /// Arguments of a sub-module.
  Args inner(const Value& object) const { return Args(object, dtype_, lookup_); }

 private:
  const Value* object_;
  Dtype dtype_;
  Lookup lookup_;
  mutable std::set<std::string> read_;
  mutable std::map<std::string, Tensor> looked_up_;
};

/// One call of a function: its positional tensors by name, and its other arguments.
class Call : public Args {
 public:
  Call(const Args& args, std::vector<Tensor> x, const std::vector<std::string>& names)
      : Args(args), inputs(std::move(x)), names_(&names) {}
  /// The tensor of that parameter: from the inputs, or from the arguments; undefined if absent.
  Tensor in(const std::string& name) const;
  /// The same where a number may stand instead: then it is a rank-0 tensor that does not raise the dtype, see
  /// is_scalar.
  bool is_scalar(const std::string& name) const { return !positional(name).defined() && is_number(value(name)); }

  std::vector<Tensor> inputs;

 private:
  /// A number, or the word for one that JSON lacks.
  static bool is_number(const Value& v) {
    return v.is_number() || (v.is_string() && (v.string == "inf" || v.string == "-inf" || v.string == "nan"));
  }
  Tensor positional(const std::string& name) const;
  const std::vector<std::string>* names_;
};

}  // namespace golden
