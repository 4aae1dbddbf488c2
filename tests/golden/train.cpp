// Cases of kind "train": a short deterministic training run.
#include "golden/folder.h"
#include "golden/modules.h"
#include "golden/optimizers.h"
#include "golden/registry.h"

namespace golden {

void run_train(const Folder& folder, const Value& item, Failures& failures) {
  const auto build = [&](const Value& part) {
    Built b = modules().build(part["module"].as_string(), folder.args(item, "").inner(part["args"]));
    b.module.to(Folder::dtype(item));
    return b;
  };
  std::vector<Built> layers;
  weft::StateDict state;  // "<index>.<name>": handles of what the layers hold
  std::vector<Tensor> params;
  for (const Value& part : item["model"].list) {
    const std::string prefix = std::to_string(layers.size()) + ".";
    layers.push_back(build(part));
    for (const auto& [name, t] : layers.back().module.state_dict()) state.set(prefix + name, t);
    for (const Tensor& p : layers.back().module.parameters()) params.push_back(p);
  }
  const Value& loss_of = item["loss"];
  std::function<Tensor(const Tensor&, const Tensor&)> loss;
  if (loss_of.has("module")) {
    loss = [of = build(loss_of), no_call = folder.args(item, "")](const Tensor& y, const Tensor& target) {
      return of.forward({y, target}, no_call).at(0);
    };
  } else {
    const Function& function = functions().at(loss_of["function"].as_string());
    const Args args = folder.args(item, "").inner(loss_of[loss_of.has("call") ? "call" : "args"]);
    loss = [&function, args](const Tensor& y, const Tensor& target) {
      const Call call(args, {y, target}, function.tensors);
      const Tensor value = function.call(call).at(0);
      call.check_all_read();
      return value;
    };
  }

  {
    const weft::NoGrad off;
    for (const auto& [name, key] : item["params"].members) {
      const Tensor* t = state.find(name);
      if (!t) throw std::runtime_error("the model has no entry " + name);
      Tensor(*t).copy_(folder.tensor(item, key.as_string()));
    }
  }
  const Value& optimizer_of = item["optimizer"];
  const Value no_overrides;
  const auto optimizer = make_optimizer(optimizer_of["module"].as_string(),
                                        folder.args(item, "").inner(optimizer_of["args"]), {{params, &no_overrides}});
  const Args no_call = folder.args(item, "call");
  const std::vector<Tensor> inputs = folder.inputs(item);
  const Tensor target = folder.tensor(item, item["target"].as_string());
  std::vector<double> losses;
  for (int64_t step = 0; step < item["steps"].as_int(); ++step) {
    std::vector<Tensor> y = inputs;
    for (const Built& layer : layers) y = layer.forward(y, no_call);
    const Tensor value = loss(y.at(0), target);
    losses.push_back(value.item<double>());
    optimizer->zero_grad();
    value.backward();
    optimizer->step();
  }
  failures.add("losses", difference(weft::tensor(losses), folder.tensor(item, item["losses"].as_string()),
                                    Folder::tolerance(item, "outputs", "losses")));
  for (const auto& [name, key] : item["final_params"].members) {
    const Tensor* t = state.find(name);
    failures.add("final " + name,
                 t ? difference(*t, folder.tensor(item, key.as_string()), Folder::tolerance(item, "after", name))
                   : "is missing");
  }
}

}  // namespace golden
