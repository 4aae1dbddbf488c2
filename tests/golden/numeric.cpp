#include "golden/numeric.h"

#include <set>

#include "support/strided.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/reduce/reduce.h"

namespace golden {
namespace {

struct Names {
  std::vector<std::pair<std::string, Tensor>> inputs;
  const Numeric& run;

  Tensor find(const std::string& name) const {
    for (const auto& [key, t] : inputs)
      if (key == name) return t;
    for (const auto& [key, t] : run.named)
      if (key == name) return t;
    return run.state(name);
  }
  Tensor at(const std::string& name) const {
    Tensor t = find(name);
    if (!t.defined()) throw std::runtime_error("nothing is named " + name);
    return t;
  }
};

// Every name whose gradient the case speaks of.
std::set<std::string> wanted_names(const Value& item) {
  std::set<std::string> names;
  for (const auto& member : item["grads"].members) names.insert(member.first);
  for (const Value& n : item["no_grads"].list) names.insert(n.as_string());
  const Value& second = item["double_backward"];
  for (const Value& n : second["of"].list) names.insert(n.as_string());
  for (const auto& member : second["grads"].members)
    if (member.first.rfind("gy", 0) != 0) names.insert(member.first);
  return names;
}

Dtype expected_dtype(const Value& item, size_t output) {
  const Value& word = item["out_dtype"];
  if (word.is_list()) return dtype_of(word.list.at(output).as_string());
  return word.is_string() ? dtype_of(word.string) : Folder::dtype(item);
}

void check_outputs(const Folder& folder, const Value& item, const char* section, const std::vector<Tensor>& got,
                   Failures& failures) {
  const std::vector<Value>& keys = item[section].list;
  if (got.size() != keys.size()) {
    failures.add(section, weft::str(got.size(), " of them, expected ", keys.size()));
    return;
  }
  for (size_t i = 0; i < got.size(); ++i) {
    const std::string what = std::string(section) + "[" + std::to_string(i) + "]";
    const Dtype expected = expected_dtype(item, i);
    if (got[i].defined() && got[i].dtype() != expected)
      failures.add(what, weft::str("dtype ", got[i].dtype(), ", expected ", expected));
    failures.add(what,
                 difference(got[i], folder.tensor(item, keys[i].as_string()), Folder::tolerance(item, "outputs")));
  }
}

void check_state(const Folder& folder, const Value& item, const char* section, const Names& names, Failures& failures) {
  for (const auto& [name, key] : item[section].members)
    failures.add(section + (" " + name), difference(names.at(name), folder.tensor(item, key.as_string()),
                                                    Folder::tolerance(item, "after", name)));
}

// The outputs that have an upstream gradient, and those gradients as leaves named gy, gy2, ...
struct Upstream {
  std::vector<Tensor> outputs, gradients;
  std::vector<std::pair<std::string, Tensor>> named;
};

Upstream upstream_of(const Folder& folder, const Value& item, const std::vector<Tensor>& outputs, bool differentiable) {
  Upstream u;
  const std::vector<Value>& keys = item["grad_outputs"].list;
  for (size_t i = 0; i < keys.size() && i < outputs.size(); ++i) {
    if (keys[i].is_null()) continue;
    Tensor g = folder.tensor(item, keys[i].as_string()).clone();
    // Expected tensors may be wider than the result; upstream gradients are in its dtype.
    g = g.to(outputs[i].dtype());
    if (differentiable) g.set_requires_grad();
    u.outputs.push_back(outputs[i]);
    u.gradients.push_back(g);
    u.named.emplace_back(i == 0 ? "gy" : "gy" + std::to_string(i + 1), g);
  }
  return u;
}

void check_second(const Folder& folder, const Value& item, const std::vector<Tensor>& outputs, const Names& names,
                  Failures& failures) {
  const Value& second = item["double_backward"];
  const Upstream u = upstream_of(folder, item, outputs, true);
  std::vector<Tensor> of;
  for (const Value& n : second["of"].list) of.push_back(names.at(n.as_string()));
  const std::vector<Tensor> first = weft::grad(
      u.outputs, of, {.create_graph = true, .allow_unused = true, .grad_outputs = u.gradients});
  Tensor s;
  for (size_t i = 0; i < first.size(); ++i) {
    if (!first[i].defined()) continue;
    const std::string& name = second["of"].list.at(i).as_string();
    if (item["grads"].has(name))
      failures.add("grad (create_graph) " + name,
                   difference(first[i], folder.tensor(item, item["grads"][name].as_string()),
                              Folder::tolerance(item, "grads", name)));
    const Tensor t = weft::sum(first[i] * first[i]);
    s = s.defined() ? s + t : t;
  }
  const Tolerance tolerance = Folder::tolerance(item, "double_backward");
  if (!s.defined()) s = weft::zeros({}, Folder::dtype(item));
  failures.add("double_backward value", difference(s, folder.tensor(item, second["value"].as_string()), tolerance));

  std::vector<Tensor> sources;
  for (const auto& [name, key] : second["grads"].members) {
    Tensor source;
    for (const auto& [gy, g] : u.named)
      if (gy == name) source = g;
    sources.push_back(source.defined() ? source : names.at(name));
  }
  std::vector<Tensor> got(sources.size());
  if (s.requires_grad() && !sources.empty()) got = weft::grad(s, sources, {.retain_graph = true, .allow_unused = true});
  for (size_t i = 0; i < sources.size(); ++i) {
    const auto& [name, key] = second["grads"].members[i];
    const Tensor want = folder.tensor(item, key.as_string());
    // A derivative that is zero everywhere may be absent.
    const Tensor g = got[i].defined() ? got[i] : weft::zeros_like(sources[i]);
    failures.add("double_backward " + name, difference(g, want, tolerance));
  }
}

void check_first(const Folder& folder, const Value& item, const std::vector<Tensor>& outputs, const Names& names,
                 Failures& failures) {
  const Upstream u = upstream_of(folder, item, outputs, false);
  if (!u.outputs.empty()) weft::backward(u.outputs, u.gradients);
  for (const auto& [name, key] : item["grads"].members) {
    const Tensor x = names.at(name), g = x.grad();
    if (g.defined() && g.dtype() != x.dtype())
      failures.add("grad " + name, weft::str("dtype ", g.dtype(), ", expected ", x.dtype()));
    failures.add("grad " + name,
                 difference(g, folder.tensor(item, key.as_string()), Folder::tolerance(item, "grads", name)));
  }
  for (const Value& n : item["no_grads"].list) {
    const Tensor g = names.at(n.as_string()).grad();
    if (g.defined()) failures.add("no_grads " + n.as_string(), not_zero(g));
  }
}

}  // namespace

void run_numeric(const Folder& folder, const Value& item, Numeric& run, Failures& failures) {
  const std::vector<Value>& keys = item["inputs"].list;
  Names names{{}, run};
  for (size_t i = 0; i < run.inputs.size(); ++i) {
    if (!run.inputs[i].defined()) continue;
    const std::string name = local_name(keys[i].as_string());
    const Value& strides = item["layout"][name]["strides"];
    if (strides.is_list()) run.inputs[i] = support::with_strides(run.inputs[i], Shape(strides.as_ints()));
    names.inputs.emplace_back(name, run.inputs[i]);
  }
  for (const std::string& name : wanted_names(item)) {
    Tensor t = names.at(name);
    if (t.is_floating() && t.is_leaf()) t.set_requires_grad();
  }

  const std::vector<Tensor> outputs = run.forward(run.inputs);
  check_outputs(folder, item, "outputs", outputs, failures);
  check_state(folder, item, "after", names, failures);
  if (outputs.size() != item["outputs"].list.size()) return;
  if (item.has("double_backward")) check_second(folder, item, outputs, names, failures);
  if (item.has("grad_outputs")) check_first(folder, item, outputs, names, failures);
  if (item.has("outputs2")) {
    check_outputs(folder, item, "outputs2", run.forward(run.inputs), failures);
    check_state(folder, item, "after2", names, failures);
  }
}

bool is_of_class(const weft::Error& e, const std::string& schema_class) {
  if (schema_class == "value_error") return dynamic_cast<const weft::ValueError*>(&e) != nullptr;
  if (schema_class == "shape_error") return dynamic_cast<const weft::ShapeError*>(&e) != nullptr;
  if (schema_class == "type_error" || schema_class == "dtype_error")
    return dynamic_cast<const weft::DtypeError*>(&e) != nullptr;
  if (schema_class == "not_implemented") return dynamic_cast<const weft::NotSupported*>(&e) != nullptr;
  return true;
}

}  // namespace golden
