// Life and death of TensorImpl: here and not in core, because the autograd record goes with it.
#include <algorithm>

#include "weft/autograd/node.h"

namespace weft {
namespace {

bool strides_contiguous(const Shape& shape, const Strides& strides) {
  int64_t step = 1;
  for (int i = shape.size() - 1; i >= 0; --i) {
    if (shape[i] == 1) continue;
    if (strides[i] != step) return shape.numel() == 0;
    step *= shape[i];
  }
  return true;
}

}  // namespace

TensorImpl::TensorImpl(Ref<Storage> s, const Shape& sh, const Strides& st, int64_t off, Dtype d)
    : storage(std::move(s)),
      shape(sh),
      strides(st),
      offset(off),
      numel(sh.numel()),
      dtype(d),
      contiguous(strides_contiguous(sh, st)) {}

TensorImpl::~TensorImpl() {
  if (!autograd) return;
  if (autograd->grad_node) {
    autograd->owner = nullptr;
    return;
  }
  const MutexLock lock(autograd->mutex);  // a leaf may be accumulated into from another thread
  autograd->owner = nullptr;
}

Ref<TensorImpl> TensorImpl::detached() const { return make_ref<TensorImpl>(storage, shape, strides, offset, dtype); }

}  // namespace weft
