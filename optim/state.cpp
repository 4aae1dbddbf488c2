#include "weft/optim/state.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "weft/core/factory.h"

namespace weft::optim {

namespace {

/// Equal order of elements: strides agree where they matter.
bool same_order(const Tensor& a, const Tensor& b) {
  if (a.is_contiguous() && b.is_contiguous()) return true;
  for (int i = 0; i < a.rank(); ++i)
    if (a.shape()[i] > 1 && a.strides()[i] != b.strides()[i]) return false;
  return true;
}

}  // namespace

Tensor detail::fitted(const Tensor& t, const Tensor& like, Dtype dtype) {
  if (t.dtype() == dtype && t.device() == like.device() && same_order(t, like)) return t;
  Tensor out = empty_like(like, dtype);
  out.copy_(t.detach().to(like.device()));
  return out;
}

std::string number_text(double x) {
  char text[40];
  return std::string(text, std::to_chars(text, text + sizeof text, x).ptr);
}

double StateReader::number(const std::string& key) {
  auto it = dict_.metadata.find(key);
  if (it == dict_.metadata.end()) {
    fault(key + " is missing");
    return 0;
  }
  const std::string& text = it->second;
  double x = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), x);
  if (error == std::errc() && end == text.data() + text.size() && !std::isnan(x)) return x;
  fault(weft::str(key, " is '", text, "', not a number"));
  return 0;
}

int64_t StateReader::count(const std::string& key) {
  double x = number(key);
  if (x >= 0 && x < 9e15 && std::floor(x) == x) return static_cast<int64_t>(x);
  fault(weft::str(key, " is ", number_text(x), ", not a count"));
  return 0;
}

Tensor StateReader::tensor(const std::string& key, const Tensor& like, Dtype dtype) {
  const Tensor* t = dict_.find(key);
  if (!t) {
    fault(key + " is missing");
    return {};
  }
  used_.push_back(key);
  if (t->shape() != like.shape()) {
    fault(weft::str(key, " has shape ", t->shape(), ", expected ", like.shape()));
    return {};
  }
  return empty_like(like, dtype).copy_(t->detach().to(like.device()));
}

void StateReader::finish() {
  std::sort(used_.begin(), used_.end());
  for (const auto& [key, t] : dict_)
    if (!std::binary_search(used_.begin(), used_.end(), key)) fault(key + " is unexpected");
  for (const auto& [key, t] : dict_.foreign) fault(key + " is unexpected");
  std::string all;
  for (const std::string& f : faults_) all += "\n  " + f;
  WEFT_CHECK(faults_.empty(), ValueError, "load_state_dict: the dict does not fit ", owner_, ":", all);
}

}  // namespace weft::optim
