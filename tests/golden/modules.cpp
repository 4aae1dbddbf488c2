// The table of modules, and the cases of kind "module".
#include "golden/modules.h"

#include "golden/numeric.h"

namespace golden {

const Modules& modules() {
  static const Modules table = [] {
    Modules m;
    add_conv_modules(m);
    add_ws_modules(m);
    add_norm_modules(m);
    add_activation_modules(m);
    add_pool_modules(m);
    add_loss_modules(m);
    add_margin_loss_modules(m);
    add_sequence_modules(m);
    add_encoding_modules(m);
    add_sync_modules(m);
    add_unit_modules(m);
    return m;
  }();
  return table;
}

void run_module(const Folder& folder, const Value& item, Failures& failures) {
  Built built = modules().build(item["module"].as_string(), folder.args(item, "args"));
  built.module.to(Folder::dtype(item));

  weft::StateDict given;
  for (const char* section : {"params", "buffers"})
    for (const auto& [name, key] : item[section].members) given.set(name, folder.tensor(item, key.as_string()));
  const weft::nn::LoadResult loaded = built.module.load_state_dict(given, false);
  for (const std::string& name : loaded.unexpected_keys) failures.add("load", "the module has no entry " + name);
  for (const auto& [name, parameter] : built.module.named_parameters())
    if (!given.contains(name)) failures.add("load", "the case gives no value for parameter " + name);

  const Value& mode = item["train"];
  built.module.train(mode.is_null() || mode.as_bool());

  const Args call = folder.args(item, "call");
  Numeric run;
  run.inputs = folder.inputs(item);
  run.named = call.named_tensors();
  run.forward = [&](const std::vector<Tensor>& inputs) {
    std::vector<Tensor> y = built.forward(inputs, call);
    call.check_all_read();
    return y;
  };
  run.state = [&](const std::string& name) {
    const weft::StateDict state = built.module.state_dict();
    const Tensor* t = state.find(name);
    return t ? *t : Tensor();
  };
  run_numeric(folder, item, run, failures);
}

}  // namespace golden
