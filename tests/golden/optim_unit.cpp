// u-muP's optimisers.
#include "golden/optimizers.h"
#include "golden/words_unit.h"
#include "weft/optim/unit_scaled.h"

namespace golden {
namespace {

namespace us = weft::unit_scaled;

// Each option from the group's own arguments or the common ones.
struct UnitOptions {
  const Args &own, &common;
  const Args& from(const char* name) const { return own.has(name) ? own : common; }
  double number(const char* name, double otherwise) const { return from(name).number(name, otherwise); }
  bool boolean(const char* name, bool otherwise) const { return from(name).boolean(name, otherwise); }
};

us::AdamOptions adam(const UnitOptions& o) {
  us::AdamOptions a;
  a.lr = o.number("lr", a.lr);
  if (const Args& betas = o.from("betas"); betas.has("betas"))
    for (size_t i = 0; i < 2; ++i) a.betas[i] = betas.value("betas").list.at(i).as_double();
  a.eps = o.number("eps", a.eps);
  a.weight_decay = o.number("weight_decay", a.weight_decay);
  a.amsgrad = o.boolean("amsgrad", a.amsgrad);
  a.maximize = o.boolean("maximize", a.maximize);
  a.independent_weight_decay = o.boolean("independent_weight_decay", true);
  a.allow_non_unit_scaling_params = o.boolean("allow_non_unit_scaling_params", false);
  return a;
}

us::SGDOptions sgd(const UnitOptions& o) {
  us::SGDOptions s;
  s.lr = o.number("lr", s.lr);
  s.momentum = o.number("momentum", s.momentum);
  s.dampening = o.number("dampening", s.dampening);
  s.weight_decay = o.number("weight_decay", s.weight_decay);
  s.nesterov = o.boolean("nesterov", s.nesterov);
  s.maximize = o.boolean("maximize", s.maximize);
  s.readout_constraint = us::constraint(o.common.word("readout_constraint", ""));
  s.independent_weight_decay = o.boolean("independent_weight_decay", true);
  s.allow_non_unit_scaling_params = o.boolean("allow_non_unit_scaling_params", false);
  return s;
}

template <class T, class F>
std::unique_ptr<weft::optim::Optimizer> make(const Args& args, const std::vector<Group>& groups, const F& options) {
  std::vector<typename T::Group> list;
  for (const Group& g : groups) {
    const Args own = args.inner(*g.overrides);
    list.push_back({g.params, options(UnitOptions{own, args})});
    own.check_all_read();
  }
  args.check_all_read();
  return std::make_unique<T>(list);
}

}  // namespace

std::unique_ptr<weft::optim::Optimizer> make_unit_optimizer(const std::string& name, const Args& args,
                                                            const std::vector<Group>& groups) {
  if (name == "unit_scaling.optim.SGD") return make<us::SGD>(args, groups, sgd);
  if (name == "unit_scaling.optim.Adam") return make<us::Adam>(args, groups, adam);
  if (name == "unit_scaling.optim.AdamW") return make<us::AdamW>(args, groups, adam);
  throw Skip("optimizer " + name);
}

}  // namespace golden
