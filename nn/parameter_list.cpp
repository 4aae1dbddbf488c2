#include "weft/nn/parameter_list.h"

#include <algorithm>

#include "weft/nn/repr.h"

namespace weft::nn {

namespace {

/// PyTorch names a dtype in one way in lists, in another in dicts.
const char* dtype_text(Dtype d, bool dict) {
  switch (d) {
    case Dtype::f64: return dict ? "torch.DoubleTensor" : "torch.float64";
    case Dtype::f16: return dict ? "torch.HalfTensor" : "torch.float16";
    case Dtype::bf16: return dict ? "torch.BFloat16Tensor" : "torch.bfloat16";
    default: return dict ? "torch.FloatTensor" : "torch.float32";
  }
}

/// One line for each parameter.
std::string lines(const Module::State& s, bool dict) {
  std::string out;
  for (const auto& [name, t] : s.params) {
    std::string size;
    for (int64_t n : t.shape()) size += (size.empty() ? "" : "x") + std::to_string(n);
    out += weft::str(out.empty() ? "" : "\n", "  (", name, "): Parameter containing: [", dtype_text(t.dtype(), dict),
                     " of size ", size, "]");
  }
  return out;
}

Parameter taken(Module::State& s, size_t i) {
  Parameter out = s.params[i].tensor;
  s.params.erase(s.params.begin() + static_cast<std::ptrdiff_t>(i));
  return out;
}

}  // namespace

ParameterList::ParameterList(const std::vector<Tensor>& values, ParameterListEntry e) : Module("ParameterList") {
  extend(values, e);
}
ParameterList& ParameterList::push_back(const Tensor& value, ParameterListEntry e) {
  check_defined("ParameterList", value);
  param(std::to_string(size()), value, e.trainable);
  set_extra(lines(state(), false));
  return *this;
}
ParameterList& ParameterList::extend(const std::vector<Tensor>& values, ParameterListEntry e) {
  for (const Tensor& t : values) push_back(t, e);
  return *this;
}
const Parameter& ParameterList::at(int64_t index) const {
  const int64_t i = index < 0 ? index + size() : index;
  WEFT_CHECK(i >= 0 && i < size(), ValueError, "ParameterList: index ", index, " is out of range for ", size(),
             " parameters");
  return state().params[static_cast<size_t>(i)].tensor;
}
Parameter ParameterList::pop(int64_t index) {
  (void)at(index);
  Parameter out = taken(state(), static_cast<size_t>(index < 0 ? index + size() : index));
  for (size_t i = 0; i < state().params.size(); ++i) state().params[i].name = std::to_string(i);
  set_extra(lines(state(), false));
  return out;
}

ParameterDict::ParameterDict(const std::vector<NamedTensor>& values, ParameterListEntry e) : Module("ParameterDict") {
  for (const auto& [name, t] : values) insert(name, t, e);
}
ParameterDict& ParameterDict::insert(std::string name, const Tensor& value, ParameterListEntry e) {
  check_defined("ParameterDict", value);
  param(std::move(name), value, e.trainable);
  set_extra(lines(state(), true));
  return *this;
}
const Parameter& ParameterDict::at(std::string_view name) const {
  for (const State::ParamEntry& p : state().params)
    if (p.name == name) return p.tensor;
  raise<ValueError>("ParameterDict: no parameter named '", name, "'");
}
Parameter ParameterDict::pop(std::string_view name) {
  (void)at(name);
  const auto& all = state().params;
  const auto it = std::find_if(all.begin(), all.end(), [&](const State::ParamEntry& p) { return p.name == name; });
  Parameter out = taken(state(), static_cast<size_t>(it - all.begin()));
  set_extra(lines(state(), true));
  return out;
}
bool ParameterDict::contains(std::string_view name) const {
  for (const State::ParamEntry& p : state().params)
    if (p.name == name) return true;
  return false;
}
std::vector<std::string> ParameterDict::keys() const {
  std::vector<std::string> out;
  for (const State::ParamEntry& p : state().params) out.push_back(p.name);
  return out;
}

}  // namespace weft::nn
