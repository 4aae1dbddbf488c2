// Which of the library's algorithms a product gets. Knows no CUDA.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "weft/backends/cuda/gemm.h"

namespace weft::cuda {

/// Bytes of the widest load.
inline constexpr uint32_t kWidestLoad = 16;
/// What the address is a multiple of, up to kWidestLoad. More would be chance: the same product has to get the same
/// algorithm, and so the same bits, whichever block its operands lie in.
inline uint32_t lt_alignment(const void* p) {
  uint32_t a = kWidestLoad;
  while (reinterpret_cast<uintptr_t>(p) % a != 0) a /= 2;
  return a;
}

/// All that the choice depends on.
using LtKey = std::array<int64_t, 20>;
struct LtKeyHash {
  size_t operator()(const LtKey& k) const {
    uint64_t h = 0xcbf29ce484222325u;
    for (const int64_t v : k) h = (h ^ static_cast<uint64_t>(v)) * 0x100000001b3u, h ^= h >> 29;
    return h;
  }
};
inline LtKey lt_key(const Gemm& g, const LtProblem& p, bool tf32) {
  return {p.m,
          p.n,
          p.k,
          g.batch,
          p.a.ld,
          p.a.batch_stride,
          p.a.transposed,
          p.b.ld,
          p.b.batch_stride,
          p.b.transposed,
          p.d.ld,
          p.d.batch_stride,
          static_cast<int64_t>(g.dtype),
          static_cast<int64_t>(g.out_dtype),
          static_cast<int64_t>(g.epilogue),
          g.beta != 0,
          tf32,
          lt_alignment(g.b),  // the library's a
          lt_alignment(g.a),
          lt_alignment(g.out)};
}

/// Algorithms for one product, best first. One that does not run is never tried again.
template <class Algorithm> class Candidates {
 public:
  void add(const Algorithm& a) { list_.push_back(a); }
  /// Calls runs(algorithm) until one says yes; false if none does.
  template <class F> bool run(F&& runs) {
    for (; first_ < list_.size(); ++first_)
      if (runs(list_[first_])) return true;
    return false;
  }

 private:
  std::vector<Algorithm> list_;
  size_t first_ = 0;
};

}  // namespace weft::cuda
