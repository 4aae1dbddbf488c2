#include "golden/folder.h"

#include <iostream>

#include "weft/io/safetensors.h"

namespace golden {
namespace {

std::string module_of(const Value& item) {
  for (const char* key : {"module", "scheduler", "optimizer"})
    if (item[key].is_string()) return item[key].string;
  return "";
}

void run_case(const Folder& folder, const Value& item, Failures& failures) {
  const std::string kind = item.has("kind") ? item["kind"].as_string() : "module";
  if (kind == "module") return run_module(folder, item, failures);
  if (kind == "function") return run_function(folder, item, failures);
  if (kind == "optim") return run_optim(folder, item, failures);
  if (kind == "optim_fn") return run_optim_fn(folder, item, failures);
  if (kind == "schedule") return run_schedule(folder, item, failures);
  if (kind == "train") return run_train(folder, item, failures);
  if (kind == "sync") return run_sync(folder, item, failures);
  throw Skip("kind " + kind);
}

}  // namespace

std::string Failures::text() const {
  std::string s;
  for (size_t i = 0; i < list_.size() && i < 3; ++i) s += (i ? " | " : "") + list_[i];
  if (list_.size() > 3) s += " | and " + std::to_string(list_.size() - 3) + " more";
  return s;
}

std::string local_name(const std::string& key) { return key.substr(key.find('.') + 1); }

Folder::Folder(const std::string& path) : path_(path), manifest_(parse_file(path + "/manifest.json")) {
  if (!manifest_.has("version") || manifest_["version"].as_int() != 1)
    throw std::runtime_error(path + "/manifest.json: version " + manifest_["version"].text() + " is not known");
}

Tensor Folder::tensor(const Value& item, const std::string& key) const {
  const std::string& name = item["tensors_file"].as_string();
  auto it = files_.find(name);
  if (it == files_.end()) it = files_.emplace(name, weft::io::load(path_ + "/" + name)).first;
  const Tensor* t = it->second.find(key);
  if (!t) throw std::runtime_error(name + " has no tensor " + key);
  return here(*t);
}

Args Folder::args(const Value& item, const char* which) const {
  return Args(item[which], dtype(item), [this, &item](const std::string& key) { return tensor(item, key); });
}

std::vector<Tensor> Folder::inputs(const Value& item) const {
  std::vector<Tensor> x;
  for (const Value& key : item["inputs"].list)
    x.push_back(key.is_null() ? Tensor() : tensor(item, key.as_string()).clone());
  return x;
}

Tolerance Folder::tolerance(const Value& item, const std::string& section, const std::string& name) {
  const Value& tol = item["tol"];
  for (const std::string& key : {name, section})
    if (!key.empty() && tol[key].is_list() && tol[key].list.size() == 2)
      return {tol[key].list.at(0).as_double(), tol[key].list.at(1).as_double()};
  return {item["rtol"].is_null() ? 0 : item["rtol"].as_double(), item["atol"].is_null() ? 0 : item["atol"].as_double()};
}

Dtype Folder::dtype(const Value& item) { return item.has("dtype") ? dtype_of(item["dtype"].as_string()) : Dtype::f32; }

void Folder::guard(const Value& item, const char* section, const Options& o, Report& report,
                   const std::function<void(const Value&, Failures&)>& run) const {
  const std::string name = item["name"].is_string() ? item["name"].string : "(no name)", module = module_of(item);
  if (!o.filter.empty() && name.find(o.filter) == std::string::npos && module.find(o.filter) == std::string::npos)
    return;
  const std::string label = std::string(section) + name + (module.empty() ? "" : " (" + module + ")");
  Failures failures;
  const bool complex = !item["complex"].list.empty();
  try {
    if (complex) throw Skip("complex tensors");
    run(item, failures);
  } catch (const Skip& skip) {
    ++report.skipped;
    if (!complex) ++report.unknown;
    ++report.skip_reasons[skip.what()];
    if (o.verbose) std::cout << "skip " << label << ": " << skip.what() << '\n';
    return;
  } catch (const weft::NotSupported& e) {
    if (device().type == weft::DeviceType::cpu) failures.add("threw", e.what());
    else {
      ++report.skipped;
      ++report.skip_reasons[e.what()];
      return;
    }
  } catch (const std::exception& e) { failures.add("threw", e.what()); }
  if (failures.empty()) {
    ++report.passed;
    if (o.verbose) std::cout << "pass " << label << '\n';
  } else {
    ++report.failed;
    std::cout << "FAIL " << label << ": " << failures.text() << '\n';
  }
}

void Folder::run(const Options& o, Report& report) {
  using Runner = void (*)(const Folder&, const Value&, Failures&);
  const std::pair<const char*, Runner> sections[] = {{"cases", run_case},  {"errors", run_error},
                                                     {"init", run_init},   {"repr", run_repr},
                                                     {"state", run_state}, {"shapes", run_shapes}};
  for (const auto& entry : sections) {  // clang 14 cannot capture a structured binding
    const char* section = entry.first;
    const Runner runner = entry.second;
    const std::string prefix = std::string(section) == "cases" ? "" : std::string(section) + "/";
    for (const Value& item : manifest_[section].list)
      guard(item, prefix.c_str(), o, report, [&](const Value& v, Failures& f) { runner(*this, v, f); });
  }
}

}  // namespace golden
