// What the driver can build: one table from the schema's module names to constructors.
// Knows modules as handles with a forward function.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "golden/args.h"
#include "weft/nn/module.h"

namespace golden {

/// A module and how to call it. `call` has the forward arguments beside the tensors.
struct Built {
  weft::nn::Module module;
  std::function<std::vector<Tensor>(const std::vector<Tensor>& inputs, const Args& call)> forward;
};

/// A module of one tensor.
template <class M> Built layer(M m) {
  return {m, [m](const std::vector<Tensor>& x, const Args&) mutable { return std::vector<Tensor>{m(x.at(0))}; }};
}
/// A module of two tensors.
template <class M> Built pair_layer(M m) {
  return {m,
          [m](const std::vector<Tensor>& x, const Args&) mutable { return std::vector<Tensor>{m(x.at(0), x.at(1))}; }};
}

/// A module of three tensors.
template <class M> Built triple_layer(M m) {
  return {m, [m](const std::vector<Tensor>& x, const Args&) mutable {
            return std::vector<Tensor>{m(x.at(0), x.at(1), x.at(2))};
          }};
}

/// Names -> constructors.
class Modules {
 public:
  using Make = std::function<Built(const Args&)>;
  void add(const std::string& name, Make make) { table_[name] = std::move(make); }
  /// Builds the module of a case; Skip for an unknown name or argument.
  Built build(const std::string& name, const Args& args) const {
    const auto it = table_.find(name);
    if (it == table_.end()) throw Skip("module " + name);
    Built b = it->second(args);
    b.module.to(device());
    if (const std::optional<Dtype> own = args.opt_dtype("dtype")) b.module.to(*own);
    args.check_all_read();
    return b;
  }

 private:
  std::map<std::string, Make> table_;
};

/// All modules, filled on first use by the add_* below.
const Modules& modules();

void add_conv_modules(Modules& m);
void add_ws_modules(Modules& m);
void add_norm_modules(Modules& m);
void add_activation_modules(Modules& m);
void add_pool_modules(Modules& m);
void add_loss_modules(Modules& m);
void add_margin_loss_modules(Modules& m);
void add_sequence_modules(Modules& m);
void add_encoding_modules(Modules& m);
void add_sync_modules(Modules& m);
void add_unit_modules(Modules& m);

}  // namespace golden
