// Weights in the layout that a primitive wants, kept from call to call.
// One entry per (storage, offset, packed layout): repacked in place when the weight changed, dropped with its storage.
#pragma once

#include <memory>

#include "weft/backends/cpu/onednn/engine.h"
#include "weft/core/tensor_ref.h"

namespace weft::cpu::onednn {

/// The same number for the same pair of layouts, whatever primitives they belong to.
int layout_id(const dnnl::memory::desc& from, const dnnl::memory::desc& to);
/// The packed elements of `w`, made by `reorder` (source to destination) if there are none of this version yet; `layout` is
/// layout_id of the reorder's ends. The memory stays valid as long as the result.
std::shared_ptr<Scratch> packed(const TensorRef& w, int layout, size_t bytes, const Compiled& reorder);
/// How many times weights have been packed.
uint64_t packed_count();

}  // namespace weft::cpu::onednn
