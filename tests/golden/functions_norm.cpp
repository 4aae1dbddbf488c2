// Normalisations.
#include "golden/registry.h"
#include "support/ops.h"

namespace golden {

void add_norm(Functions& f) {
  f.add("F.batch_norm", {"input", "running_mean", "running_var", "weight", "bias"}, [](const Call& c) {
    weft::BatchNormOptions o;
    o.training = c.boolean("training", false);
    o.momentum = c.number("momentum", 0.1);
    o.eps = c.number("eps", 1e-5);
    return weft::batch_norm(c.in("input"), c.in("running_mean"), c.in("running_var"), c.in("weight"), c.in("bias"), o);
  });
  f.add("F.instance_norm", {"input", "running_mean", "running_var", "weight", "bias"}, [](const Call& c) {
    weft::InstanceNormOptions o;
    o.use_input_stats = c.boolean("use_input_stats", true);
    o.momentum = c.number("momentum", 0.1);
    o.eps = c.number("eps", 1e-5);
    return weft::instance_norm(c.in("input"), c.in("running_mean"), c.in("running_var"), c.in("weight"), c.in("bias"),
                               o);
  });
  f.add("F.group_norm", {"input", "weight", "bias"}, [](const Call& c) {
    weft::GroupNormOptions o;
    o.eps = c.number("eps", 1e-5);
    return weft::group_norm(c.in("input"), c.integer("num_groups"), c.in("weight"), c.in("bias"), o);
  });
  f.add("F.layer_norm", {"input", "weight", "bias"}, [](const Call& c) {
    return weft::layer_norm(c.in("input"), Shape(c.ints("normalized_shape")), c.in("weight"), c.in("bias"),
                            c.number("eps", 1e-5));
  });
  f.add("F.rms_norm", {"input", "weight"}, [](const Call& c) {
    return weft::rms_norm(c.in("input"), Shape(c.ints("normalized_shape")), c.in("weight"), c.opt_number("eps"));
  });
  f.add("F.normalize", {"input"}, [](const Call& c) {
    return weft::normalize(c.in("input"), c.number("p", 2), c.integer("dim", 1), c.number("eps", 1e-12));
  });
}

}  // namespace golden
