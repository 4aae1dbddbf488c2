// The sections beside the cases: errors, initial values, printing, state, output shapes.
#include <cctype>
#include <cmath>
#include <iostream>

#include "golden/modules.h"
#include "golden/mup.h"
#include "golden/numeric.h"
#include "golden/registry.h"

namespace golden {
namespace {

std::string lower(std::string s) {
  for (char& c : s) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return s;
}

bool is_function(const Value& item) { return item["kind"].is_string() && item["kind"].string == "function"; }

std::vector<Tensor> zero_inputs(const Value& item) {
  std::vector<Tensor> x;
  const Value& words = item["input_dtypes"];
  for (size_t i = 0; i < item["input_shapes"].list.size(); ++i) {
    const Value& shape = item["input_shapes"].list[i];
    const bool own = i < words.list.size() && words.list[i].is_string();
    x.push_back(shape.is_null() ? Tensor()
                                : weft::zeros(Shape(shape.as_ints()),
                                              {own ? dtype_of(words.list[i].string) : Folder::dtype(item), device()}));
  }
  return x;
}

Built build(const Folder& folder, const Value& item) {
  Built b = modules().build(item["module"].as_string(), folder.args(item, "args"));
  if (item.has("dtype")) b.module.to(Folder::dtype(item));
  const Value& mode = item["train"];
  b.module.train(mode.is_null() || mode.as_bool());
  return b;
}

std::vector<Tensor> call_function(const Folder& folder, const Value& item, const std::vector<Tensor>& x) {
  const Function& function = functions().at(item["module"].as_string());
  const Call call(folder.args(item, "call"), x, function.tensors);
  std::vector<Tensor> y = function.call(call);
  call.check_all_read();
  return y;
}

/// The message of the weft::Error that f throws; empty if it does not throw. What C++ does not take as an argument is
/// refused, too.
template <class F> std::string refusal(const Value& item, F f) {
  try {
    f();
  } catch (const weft::Error& e) {
    if (!is_of_class(e, item["error"].as_string()))
      std::cout << "note " << item["name"].as_string() << ": another class than " << item["error"].string << ": "
                << e.what() << '\n';
    return e.what();
  } catch (const Misfit& e) { return e.what() + (" in " + item["args"].text()) + item["call"].text(); }
  return "";
}

struct Moments {
  double lo = HUGE_VAL, hi = -HUGE_VAL, mean = 0, std = 0;
};
Moments moments_of(const std::vector<double>& v) {
  Moments m;
  for (double x : v) m.lo = std::min(m.lo, x), m.hi = std::max(m.hi, x), m.mean += x / static_cast<double>(v.size());
  for (double x : v) m.std += (x - m.mean) * (x - m.mean) / static_cast<double>(v.size());
  m.std = std::sqrt(m.std);
  return m;
}

std::string check_distribution(const Tensor& t, const Value& want) {
  const std::vector<double> v = t.to_vector<double>();
  const std::string& dist = want["dist"].as_string();
  const Moments m = moments_of(v);
  const auto n = static_cast<double>(v.size());
  if (dist == "constant") {
    for (double x : v)
      if (std::abs(x - want["value"].as_double()) > 1e-6 * std::abs(want["value"].as_double()))
        return weft::str("is ", x, ", expected ", want["value"].as_double());
  } else if (dist == "iota") {
    for (size_t i = 0; i < v.size(); ++i)
      if (v[i] != static_cast<double>(i)) return weft::str("element ", i, " is ", v[i]);
  } else if (dist == "uniform") {
    const double bound = want.has("bound") ? want["bound"].as_double()
                                           : (want["hi"].as_double() - want["lo"].as_double()) / 2;
    const double middle = want.has("bound") ? 0 : (want["hi"].as_double() + want["lo"].as_double()) / 2;
    const double reach = std::max(m.hi - middle, middle - m.lo);
    if (reach > bound * (1 + 1e-6)) return weft::str("reaches ", reach, ", bound ", bound);
    if (n >= 64 && reach <= 0.8 * bound) return weft::str("reaches only ", reach, " of ", bound);
    if (n >= 1000 && std::abs(m.std / (bound / std::sqrt(3.0)) - 1) >= 0.1)
      return weft::str("std ", m.std, " for bound ", bound);
    if (n >= 1000 && std::abs(m.mean - middle) >= 0.15 * bound) return weft::str("mean ", m.mean);
  } else if (dist == "normal") {
    const double std = want["std"].as_double(), mean = want.has("mean") ? want["mean"].as_double() : 0;
    if (n >= 1000 && std::abs(m.std / std - 1) >= 0.1) return weft::str("std ", m.std, ", expected ", std);
    if (n >= 1000 && std::abs(m.mean - mean) >= 5 * std / std::sqrt(n))
      return weft::str("mean ", m.mean, ", expected ", mean);
    if (std::max(m.hi - mean, mean - m.lo) <= 2 * std) return weft::str("no element beyond 2 std of ", std);
  } else {
    throw Skip("distribution " + dist);
  }
  return "";
}

}  // namespace

void run_error(const Folder& folder, const Value& item, Failures& failures) {
  const std::string& stage = item["stage"].as_string();
  if (stage != "construct" && stage != "forward" && stage != "load" && stage != "backward")
    throw Skip("stage " + stage);
  std::string text;
  if (is_function(item)) {
    if (stage != "forward") throw Skip("stage " + stage + " of a function");
    (void)functions().at(item["module"].as_string());
    text = refusal(item, [&] { (void)call_function(folder, item, zero_inputs(item)); });
  } else if (stage == "construct") {
    text = refusal(item, [&] { (void)build(folder, item); });
  } else {
    Built b = build(folder, item);
    if (stage == "load") {
      weft::StateDict dict;
      for (const auto& [name, shape] : item["state"].members) dict.set(name, weft::zeros(Shape(shape.as_ints())));
      text = refusal(item, [&] { (void)b.module.load_state_dict(dict); });
    } else {
      const Args call = folder.args(item, "call");
      std::vector<Tensor> x = zero_inputs(item);
      if (stage == "forward") {
        text = refusal(item, [&] { (void)b.forward(x, call); });
      } else {
        for (Tensor& t : x)
          if (t.defined() && t.is_floating()) t.set_requires_grad();
        const std::vector<Tensor> y = b.forward(x, call);
        text = refusal(item, [&] { y.at(0).backward(weft::ones_like(y[0])); });
      }
      call.check_all_read();
    }
  }
  if (text.empty()) {
    failures.add("error", "nothing was thrown at stage " + stage);
    return;
  }
  for (const Value& word : item["about"].list)
    if (lower(text).find(lower(word.as_string())) == std::string::npos)
      failures.add("error", "\"" + text + "\" does not speak of " + word.as_string());
}

void run_init(const Folder& folder, const Value& item, Failures& failures) {
  Built b = build(folder, item);
  for (const Value& shape : item["call_shapes"].list)
    (void)b.forward({weft::zeros(Shape(shape.as_ints()), device())}, folder.args(item, "call"));
  const weft::StateDict state = b.module.state_dict();
  for (const auto& [name, want] : item["params"].members) {
    const Tensor* t = state.find(name);
    if (!t) {
      failures.add(name, "is missing");
      continue;
    }
    const Shape shape(want["shape"].as_ints());
    if (t->shape() != shape) failures.add(name, weft::str("shape ", t->shape(), ", expected ", shape));
    else failures.add(name, check_distribution(*t, want));
    failures.add(name, mup_difference(*t, want));
  }
}

void run_repr(const Folder& folder, const Value& item, Failures& failures) {
  const std::string got = weft::str(build(folder, item).module);
  if (item.has("repr") && got != item["repr"].as_string())
    failures.add("repr", "\"" + got + "\", expected \"" + item["repr"].string + "\"");
  if (item.has("extra_repr")) {
    const size_t open = got.find('(');
    const std::string extra = open == std::string::npos ? "" : got.substr(open + 1, got.size() - open - 2);
    if (extra != item["extra_repr"].as_string())
      failures.add("extra_repr", "\"" + extra + "\", expected \"" + item["extra_repr"].string + "\"");
  }
}

void run_state(const Folder& folder, const Value& item, Failures& failures) {
  const Built b = build(folder, item);
  const weft::StateDict state = b.module.state_dict();
  std::map<std::string, bool> is_param;
  for (const auto& [name, t] : b.module.named_parameters()) is_param[name] = true;
  const std::vector<Value>& entries = item["entries"].list;
  if (state.size() != entries.size())
    failures.add("state", weft::str(state.size(), " entries, expected ", entries.size()));
  size_t i = 0;
  for (const auto& [name, t] : state) {
    if (i >= entries.size()) break;
    const Value& want = entries[i++];
    if (name != want["key"].as_string()) {
      failures.add("state", "entry " + name + ", expected " + want["key"].string);
      continue;
    }
    if (is_param[name] != (want["kind"].as_string() == "param")) failures.add(name, "is not a " + want["kind"].string);
    const Shape shape(want["shape"].as_ints());
    if (t.shape() != shape) failures.add(name, weft::str("shape ", t.shape(), ", expected ", shape));
    const Dtype dtype = want.has("dtype") ? dtype_of(want["dtype"].as_string()) : Dtype::f32;
    if (t.dtype() != dtype) failures.add(name, weft::str("dtype ", t.dtype(), ", expected ", dtype));
    failures.add(name, mup_difference(t, want));
  }
}

void run_shapes(const Folder& folder, const Value& item, Failures& failures) {
  const std::vector<Tensor> x = zero_inputs(item);
  std::vector<Tensor> y;
  if (is_function(item)) {
    y = call_function(folder, item, x);
  } else {
    const Built b = build(folder, item);
    y = b.forward(x, folder.args(item, "call"));
  }
  const std::vector<Value>& shapes = item["output_shapes"].list;
  if (y.size() != shapes.size()) failures.add("outputs", weft::str(y.size(), " of them, expected ", shapes.size()));
  for (size_t i = 0; i < std::min(y.size(), shapes.size()); ++i) {
    const Shape want(shapes[i].as_ints());
    if (y[i].shape() != want)
      failures.add("output " + std::to_string(i), weft::str("shape ", y[i].shape(), ", expected ", want));
  }
}

}  // namespace golden
