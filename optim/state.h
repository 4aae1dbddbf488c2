// State beside parameters: in their order of elements, and read back from a dict with every fault collected, so that
// one error names them all. Knows StateDict only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "weft/core/state_dict.h"

namespace weft::optim {

namespace detail {
/// t in the order of `like`, in `dtype` and on its device; t itself if it is.
Tensor fitted(const Tensor& t, const Tensor& like, Dtype dtype);
}  // namespace detail

/// The shortest text that reads back as x.
WEFT_API std::string number_text(double x);

/// Reads a dict entry by entry. A faulty entry is noted and a harmless value returned, so that the reader goes on;
/// `finish` throws if there was any. Nothing may be changed before that.
class WEFT_API StateReader {
 public:
  /// `owner` begins the error of `finish`.
  StateReader(const StateDict& dict, std::string owner) : dict_(dict), owner_(std::move(owner)) {}
  /// The dict that is read.
  const StateDict& dict() const { return dict_; }
  /// The metadata entry as a number. NaN is a fault.
  double number(const std::string& key);
  /// The same, not negative and without a fraction.
  int64_t count(const std::string& key);
  /// A copy of the tensor in the layout and on the device of `like`, as `dtype`. Another shape is a fault.
  Tensor tensor(const std::string& key, const Tensor& like, Dtype dtype);
  /// Notes a fault.
  void fault(std::string text) { faults_.push_back(std::move(text)); }
  /// A fault of one tensor, which `finish` then does not list again.
  void fault_of(const std::string& key, const std::string& text) {
    used_.push_back(key);
    fault(key + text);
  }
  /// ValueError that lists all faults, and the tensors of the dict that nobody asked for.
  void finish();

 private:
  const StateDict& dict_;
  std::string owner_;
  std::vector<std::string> faults_;
  std::vector<std::string> used_;  // keys that were asked for
};

}  // namespace weft::optim
