// Weights in the layout that an engine wants, kept from their second use on: one in training has changed by then, and
// what all layers' packed weights take (up to eight times the weights) would be held for nothing. One entry per
// (storage, offset, layout): given up when the weight changed, dropped with its storage.
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>

#include "weft/backends/cpu/scratch.h"
#include "weft/core/tensor_ref.h"

namespace weft::cpu {

/// Makes the cache; after the allocator, whose lock is taken inside of its own.
void make_packed_weights();

/// The number of a layout that these integers describe in full (whose it is, sizes, strides): equal lists, equal
/// numbers. At least 2^30, so that engines with numbers of their own may count from 0.
int layout_number(std::initializer_list<int64_t> description);

/// The packed elements of `w`, made by `pack(from, to)` if none of this version are kept. `layout` names what `pack`
/// makes, w's own strides included. The memory stays valid as long as the result.
std::shared_ptr<Scratch> packed(const TensorRef& w, int layout, size_t bytes,
                                const std::function<void(const void*, void*)>& pack);
/// The same of w times `scale`, a factor for each of its rows (undefined: 1). Kept as long as `scale`, whose owner sees
/// to it that w does not change.
std::shared_ptr<Scratch> packed(const TensorRef& w, const TensorRef& scale, int layout, size_t bytes,
                                const std::function<void(const void*, void*)>& pack);
/// How many times weights have been packed.
uint64_t packed_count();

}  // namespace weft::cpu
