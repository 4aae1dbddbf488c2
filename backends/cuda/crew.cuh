// Combining what the threads of a team have, a warp or a whole block, in an order that is always the same.
#pragma once

#include "weft/backends/cuda/launch.h"

namespace weft::cuda {

/// A warp or a block of kBlock threads that work together; a block holds several teams of one warp.
template <int Lanes> struct Crew {
  static_assert(Lanes == kWarp || Lanes == kBlock);
  static constexpr int kTeams = kBlock / Lanes;  // of a block
  int lane, index;                               // of this thread in its team, and of the team in the block

  __device__ Crew() : lane(static_cast<int>(threadIdx.x) % Lanes), index(static_cast<int>(threadIdx.x) / Lanes) {}
  __device__ void wait() const {
    if constexpr (Lanes == kWarp) __syncwarp();
    else __syncthreads();
  }
  /// v of lane 0, merged with those of all others: merge(T& into, const T& from). `room`: kBlock values in shared memory.
  /// All lanes get the result.
  template <class T, class M> __device__ T combine(T v, T* room, const M& merge) const {
    T* mine = room + index * Lanes;
    wait();  // the room may still be in use
    mine[lane] = v;
    for (int half = Lanes / 2; half > 0; half /= 2) {
      wait();
      if (lane < half) {
        merge(v, mine[lane + half]);
        mine[lane] = v;
      }
    }
    wait();
    return mine[0];
  }
};

}  // namespace weft::cuda
