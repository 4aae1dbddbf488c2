#include "weft/nn/parameter_list.h"

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

/// One line for each parameter, as it was when it came in.
std::string with_line(const Module::State& s, bool dict) {
  const auto& [name, t] = s.params.back();
  std::string size;
  for (int64_t n : t.shape()) size += (size.empty() ? "" : "x") + std::to_string(n);
  return weft::str(s.extra, s.extra.empty() ? "" : "\n", "  (", name, "): Parameter containing: [",
                   dtype_text(t.dtype(), dict), " of size ", size, "]");
}

}  // namespace

ParameterList::ParameterList(const std::vector<Tensor>& values) : Module("ParameterList") {
  for (const Tensor& t : values) push_back(t);
}
ParameterList& ParameterList::push_back(Tensor value) {
  check_defined("ParameterList", value);
  param(std::to_string(size()), std::move(value));
  set_extra(with_line(state(), false));
  return *this;
}
Tensor ParameterList::at(int64_t index) const {
  const int64_t i = index < 0 ? index + size() : index;
  WEFT_CHECK(i >= 0 && i < size(), ValueError, "ParameterList: index ", index, " is out of range for ", size(),
             " parameters");
  return state().params[static_cast<size_t>(i)].second;
}

ParameterDict::ParameterDict(const std::vector<NamedTensor>& values) : Module("ParameterDict") {
  for (const auto& [name, t] : values) insert(name, t);
}
ParameterDict& ParameterDict::insert(std::string name, Tensor value) {
  check_defined("ParameterDict", value);
  param(std::move(name), std::move(value));
  set_extra(with_line(state(), true));
  return *this;
}
bool ParameterDict::contains(std::string_view name) const {
  for (const NamedTensor& p : state().params)
    if (p.first == name) return true;
  return false;
}
std::vector<std::string> ParameterDict::keys() const {
  std::vector<std::string> out;
  for (const NamedTensor& p : state().params) out.push_back(p.first);
  return out;
}

}  // namespace weft::nn
