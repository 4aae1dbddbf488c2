// Optimisers by the schema's names.
#pragma once

#include <memory>
#include <vector>

#include "golden/args.h"
#include "weft/optim/optimizer.h"

namespace golden {

/// Parameters that share their options.
struct Group {
  std::vector<Tensor> params;
  const Value* overrides;  ///< options that differ from the common ones; may be null
};

/// The optimiser of a case; Skip for an unknown one.
std::unique_ptr<weft::optim::Optimizer> make_optimizer(const std::string& name, const Args& args,
                                                       const std::vector<Group>& groups);
/// The same for those of unit scaling.
std::unique_ptr<weft::optim::Optimizer> make_unit_optimizer(const std::string& name, const Args& args,
                                                            const std::vector<Group>& groups);

}  // namespace golden
