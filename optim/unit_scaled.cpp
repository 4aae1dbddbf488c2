#include "weft/optim/unit_scaled.h"

#include <cmath>

namespace weft::unit_scaled {
namespace {

double fan(const Tensor& p) {
  const Shape& s = p.shape();
  return static_cast<double>(s.size() == 1 ? s[0] : s.slice(std::min(1, s.size())).numel());
}

void check_readout(Constraint c) {
  WEFT_CHECK(c == Constraint::none || c == Constraint::to_output_scale, ValueError,
             "SGD: readout_constraint must be none or to_output_scale, got '", name(c), "'");
}

double depth_scale(const Tensor& p) {
  const std::optional<int64_t> depth = mup_info(p).depth;
  return depth ? 1 / std::sqrt(static_cast<double>(*depth)) : 1;
}

// Groups of the plain optimiser, one for each parameter.
template <class Plain, class Options, class Convert, class LrScale>
std::vector<optim::ParamGroup<Plain>> plain_groups(const std::vector<optim::ParamGroup<Options>>& groups,
                                                   const Convert& convert, const LrScale& lr_scale) {
  std::vector<optim::ParamGroup<Plain>> out;
  for (const optim::ParamGroup<Options>& g : groups) {
    const optim::ParamGroup<Plain> plain{g.params, convert(g.options)};
    auto each = scaled_parameters<Plain>(
        {plain}, [&](const Tensor& p) { return lr_scale(p, g.options); }, g.options.independent_weight_decay,
        g.options.allow_non_unit_scaling_params);
    out.insert(out.end(), each.begin(), each.end());
  }
  return out;
}

template <bool Decoupled>
std::vector<optim::ParamGroup<optim::AdamOptionsOf<Decoupled>>> adam_groups(
    const std::vector<optim::ParamGroup<AdamOptions>>& groups) {
  using Plain = optim::AdamOptionsOf<Decoupled>;
  return plain_groups<Plain>(
      groups, [](const AdamOptions& o) { return Plain{o.lr, o.betas, o.eps, o.weight_decay, o.amsgrad, o.maximize}; },
      [](const Tensor& p, const AdamOptions&) { return adam_lr_scale(p); });
}

std::vector<optim::ParamGroup<optim::SGDOptions>> sgd_groups(const std::vector<optim::ParamGroup<SGDOptions>>& groups) {
  return plain_groups<optim::SGDOptions>(
      groups,
      [](const SGDOptions& o) {
        check_readout(o.readout_constraint);
        return optim::SGDOptions{o.lr, o.momentum, o.dampening, o.weight_decay, o.nesterov, o.maximize};
      },
      [](const Tensor& p, const SGDOptions& o) { return sgd_lr_scale(p, o.readout_constraint); });
}

}  // namespace

double adam_lr_scale(const Tensor& p) {
  return depth_scale(p) * (mup_info(p).type == MupType::weight ? 1 / std::sqrt(fan(p)) : 1);
}

double sgd_lr_scale(const Tensor& p, Choice<Constraint> readout_constraint) {
  check_readout(readout_constraint);
  if (readout_constraint == Constraint::none) return adam_lr_scale(p);
  const MupType type = mup_info(p).type;
  if (type == MupType::weight) return depth_scale(p) * std::sqrt(fan(p));
  const bool vector = type == MupType::bias || type == MupType::norm;
  return depth_scale(p) * (vector && p.rank() > 0 ? static_cast<double>(p.size(0)) : 1);
}

template <bool Decoupled>
AdamOf<Decoupled>::AdamOf(const std::vector<Group>& groups) : Base(adam_groups<Decoupled>(groups)) {}

template <bool Decoupled> void AdamOf<Decoupled>::add_group(optim::NewGroup<AdamOptions> g) {
  Base::add_groups(adam_groups<Decoupled>({std::move(g).with(defaults_)}));
}

template class AdamOf<false>;
template class AdamOf<true>;

SGD::SGD(const std::vector<Group>& groups) : optim::SGD(sgd_groups(groups)) {}

void SGD::add_group(optim::NewGroup<SGDOptions> g) { add_groups(sgd_groups({std::move(g).with(defaults_)})); }

}  // namespace weft::unit_scaled
