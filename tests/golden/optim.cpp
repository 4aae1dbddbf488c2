// Optimisers: cases of kind "optim" (given gradients) and "optim_fn" (an objective to minimise).
#include <memory>

#include "golden/folder.h"
#include "golden/mup.h"
#include "golden/optimizers.h"
#include "support/ops.h"
#include "weft/autograd/grad_mode.h"
#include "weft/optim/adam.h"
#include "weft/optim/lbfgs.h"
#include "weft/optim/rmsprop.h"
#include "weft/optim/sgd.h"

namespace golden {
namespace {

using weft::optim::Optimizer;

/// Options by the names under which the optimiser visits them, from the group's own arguments or the common ones.
template <class O> O options(const Args& common, const Args& own) {
  O o;
  const auto from = [&](const std::string& name) -> const Args& { return own.has(name) ? own : common; };
  O::visit(o, [&](const std::string& name, auto& field) {
    using T = std::remove_reference_t<decltype(field)>;
    if (name == "beta1" || name == "beta2") {
      const Args& a = from("betas");
      if constexpr (std::is_same_v<T, double>)
        if (a.has("betas")) field = a.value("betas").list.at(name == "beta2").as_double();
    } else if constexpr (std::is_same_v<T, bool>) {
      field = from(name).boolean(name, field);
    } else if constexpr (std::is_same_v<T, double>) {
      field = from(name).number(name, field);
    } else if constexpr (std::is_same_v<T, int64_t>) {
      field = from(name).integer(name, field);
    } else {
      field = common.word("line_search_fn", "none");
    }
  });
  // These choose an implementation in PyTorch and change no number.
  for (const char* name : {"foreach", "fused", "capturable", "differentiable"}) (void)common.value(name);
  common.check_all_read();
  own.check_all_read();
  return o;
}

template <class T, class O> std::unique_ptr<Optimizer> make(const Args& args, const std::vector<Group>& groups) {
  std::vector<typename T::Group> list;
  for (const Group& g : groups) list.push_back({g.params, options<O>(args, args.inner(*g.overrides))});
  return std::make_unique<T>(std::move(list));
}

}  // namespace

std::unique_ptr<Optimizer> make_optimizer(const std::string& name, const Args& args, const std::vector<Group>& groups) {
  using namespace weft::optim;
  if (name == "optim.SGD") return make<SGD, SGDOptions>(args, groups);
  if (name == "optim.Adam") return make<Adam, AdamOptions>(args, groups);
  if (name == "optim.AdamW") return make<AdamW, AdamWOptions>(args, groups);
  if (name == "optim.RAdam") return make<RAdam, RAdamOptions>(args, groups);
  if (name == "optim.NAdam") return make<NAdam, NAdamOptions>(args, groups);
  if (name == "optim.Adamax") return make<Adamax, AdamaxOptions>(args, groups);
  if (name == "optim.RMSprop") return make<RMSprop, RMSpropOptions>(args, groups);
  if (name == "optim.Adagrad") return make<Adagrad, AdagradOptions>(args, groups);
  if (name == "optim.Adadelta") return make<Adadelta, AdadeltaOptions>(args, groups);
  if (name == "optim.LBFGS" && groups.size() == 1)
    return std::make_unique<LBFGS>(groups[0].params, options<LBFGSOptions>(args, args.inner(*groups[0].overrides)));
  return make_unit_optimizer(name, args, groups);
}

namespace {

/// What optim_fn cases minimise, as the schema writes it.
class Objective {
 public:
  Objective(const Folder& folder, const Value& item) : type_(item["objective"]["type"].as_string()) {
    const Value& o = item["objective"];
    for (const char* key : {"A", "b", "x", "t"})
      if (o.has(key)) constants_[key] = folder.tensor(item, o[key].as_string());
    if (type_ != "quadratic" && type_ != "rosenbrock" && type_ != "mlp") throw Skip("objective " + type_);
  }
  Tensor operator()(const std::map<std::string, Tensor>& p) const {
    if (type_ == "quadratic") {
      const Tensor x = p.at("x"), column = x.unsqueeze(1);
      return weft::sum(weft::matmul(constants_.at("A"), column) * column) * 0.5 - weft::sum(constants_.at("b") * x);
    }
    if (type_ == "rosenbrock") {
      const Tensor x = p.at("x");
      const int64_t n = x.size(0);
      const Tensor head = x.narrow(0, 0, n - 1), tail = x.narrow(0, 1, n - 1);
      return weft::sum(weft::square(tail - weft::square(head)) * 100 + weft::square(1 - head));
    }
    const Tensor hidden = weft::tanh(weft::matmul(constants_.at("x"), p.at("w1").t()) + p.at("b1"));
    return weft::mean(weft::square(weft::matmul(hidden, p.at("w2").t()) + p.at("b2") - constants_.at("t")));
  }

 private:
  std::string type_;
  std::map<std::string, Tensor> constants_;
};

void check_params(const Folder& folder, const Value& item, const Value& expected, size_t step,
                  const std::map<std::string, Tensor>& params, Failures& failures) {
  for (const auto& [name, key] : expected.members)
    failures.add(
        "step " + std::to_string(step) + " " + name,
        difference(params.at(name), folder.tensor(item, key.as_string()), Folder::tolerance(item, "outputs", name)));
}

}  // namespace

void run_optim(const Folder& folder, const Value& item, Failures& failures) {
  std::vector<Group> groups;
  std::map<std::string, Tensor> params;
  for (const Value& p : item["params"].list) {
    Tensor t = folder.tensor(item, p["tensor"].as_string()).clone().set_requires_grad();
    weft::unit_scaled::set_mup_info(t, mup_info(p));
    params[p["name"].as_string()] = t;
    const Value& overrides = p["group"];
    if (groups.empty() || groups.back().overrides->text() != overrides.text()) groups.push_back({{}, &overrides});
    groups.back().params.push_back(t);
  }
  const Args args = folder.args(item, "args");
  const std::unique_ptr<Optimizer> optimizer = make_optimizer(item["optimizer"].as_string(), args, groups);
  for (size_t i = 0; i < item["params"].list.size() && item.has("lrs"); ++i) {
    const Value& want = item["lrs"][item["params"].list[i]["name"].as_string()];
    if (want.is_null()) continue;
    const double got = optimizer->lr(static_cast<int64_t>(i)), lr = want.as_double();
    if (std::abs(got - lr) > 1e-9 * std::abs(lr))
      failures.add("lr of parameter " + std::to_string(i), weft::str("is ", got, ", expected ", lr));
  }
  for (size_t step = 0; step < item["step_grads"].list.size(); ++step) {
    for (auto& [name, t] : params) {
      const Value& key = item["step_grads"].list.at(step)[name];
      t.set_grad(key.is_null() ? Tensor() : folder.tensor(item, key.as_string()).clone());
    }
    optimizer->step();
    check_params(folder, item, item["step_params"].list.at(step), step, params, failures);
  }
}

void run_optim_fn(const Folder& folder, const Value& item, Failures& failures) {
  const Objective objective(folder, item);
  const Value none;
  std::vector<Group> groups = {{{}, &none}};
  std::map<std::string, Tensor> params;
  for (const auto& [name, key] : item["params"].members) {
    params[name] = folder.tensor(item, key.as_string()).clone().set_requires_grad();
    groups[0].params.push_back(params[name]);
  }
  const Args args = folder.args(item, "args");
  const std::unique_ptr<Optimizer> optimizer = make_optimizer(item["optimizer"].as_string(), args, groups);
  std::vector<double> losses;
  for (int64_t step = 0; step < item["steps"].as_int(); ++step) {
    const Tensor loss = optimizer->step([&] {
      optimizer->zero_grad();
      Tensor f = objective(params);
      f.backward();
      return f;
    });
    losses.push_back(loss.item<double>());
    if (item.has("step_params"))
      check_params(folder, item, item["step_params"].list.at(static_cast<size_t>(step)), static_cast<size_t>(step),
                   params, failures);
  }
  if (item.has("losses"))
    failures.add("losses", difference(weft::tensor(losses), folder.tensor(item, item["losses"].as_string()),
                                      Folder::tolerance(item, "outputs", "losses")));
  if (item.has("final_loss")) {
    const weft::NoGrad off;
    failures.add("final_loss", difference(objective(params), folder.tensor(item, item["final_loss"].as_string()),
                                          Folder::tolerance(item, "outputs", "final_loss")));
  }
}

}  // namespace golden
