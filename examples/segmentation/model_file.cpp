#include "model_file.h"

#include <charconv>

using namespace weft;

namespace {

/// The tensors that have a row for each class.
constexpr std::array<const char*, 4> kByClass = {"encmodule.selayer.weight", "encmodule.selayer.bias", "conv6.1.weight",
                                                 "conv6.1.bias"};

int64_t metadata_number(const StateDict& file, const std::string& path, const std::string& key) {
  const auto at = file.metadata.find(key);
  int64_t v = 0;
  const bool read = at != file.metadata.end() &&
                    std::from_chars(at->second.data(), at->second.data() + at->second.size(), v).ec == std::errc();
  WEFT_CHECK(read && v >= 0, IoError, path, ": is no model of this program: its metadata has no number '", key, "'");
  return v;
}

}  // namespace

Tensor normalised(const Tensor& x) {
  const Tensor mean = tensor(kMean, Shape{1, 3, 1, 1}).to(Dtype::f32).to(x.device()),
               std = tensor(kStd, Shape{1, 3, 1, 1}).to(Dtype::f32).to(x.device());
  return (x.to(Dtype::f32) / 255.0 - mean) / std;
}

void save_model(const Model& model, const std::string& path, bool half, const std::string& command) {
  StateDict file;
  for (const auto& [key, t] : model.net.state_dict()) {
    const Tensor value = t.detach().to(Device());
    file.insert(key, half && t.rank() > 1 ? value.to(Dtype::f16) : value);
  }
  file.metadata = {{"format", "pt"},
                   {"network", "EncNetLite"},
                   {"classes", class_lines(model.classes)},
                   {"ignore_index", std::to_string(model.classes.ignore_index)},
                   {"shorter_side", std::to_string(model.shorter_side)},
                   {"command", command}};
  io::save(file, path);
}

Model load_model(const std::string& path, Device device) {
  const StateDict file = io::load(path);
  const auto classes = file.metadata.find("classes");
  const Tensor* codewords = file.find("encmodule.encoding.codewords");
  WEFT_CHECK(classes != file.metadata.end() && codewords && codewords->rank() == 2, IoError, path,
             ": is no model of this program: it has no ", codewords ? "classes in its metadata" : "Encoding layer");
  Classes names = parse_classes(classes->second, path, metadata_number(file, path, "ignore_index"));
  const EncNetLiteOptions options{.classes = names.size(), .codes = codewords->size(0)};
  Model model{EncNetLite(options), std::move(names), metadata_number(file, path, "shorter_side")};
  try {
    model.net.load_state_dict(file);
  } catch (const Error& e) { raise<ValueError>(path, ": ", e.what()); }
  model.net.to(device);
  model.net.eval();
  model.net.requires_grad(false);
  return model;
}

void start_from(EncNetLite& net, const std::string& path) {
  StateDict file = io::load(path);
  const StateDict own = net.state_dict();
  for (const char* key : kByClass)
    if (const Tensor* t = file.find(key); t && t->shape() != own.at(key).shape()) file.set(key, own.at(key));
  try {
    net.load_state_dict(file);
  } catch (const Error& e) { raise<ValueError>(path, ": ", e.what()); }
}
