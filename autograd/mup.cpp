#include "weft/autograd/mup.h"

namespace weft::unit_scaled {

MupInfo mup_info(const Tensor& p) {
  check_defined("mup_info", p);
  const AutogradMeta* meta = p.impl()->autograd.get();
  return meta && meta->param_info ? *meta->param_info : MupInfo();
}

void set_mup_info(const Tensor& p, MupInfo info) {
  check_defined("set_mup_info", p);
  weft::detail::meta(p).param_info = std::make_unique<MupInfo>(info);
}

}  // namespace weft::unit_scaled
