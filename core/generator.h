// Counter-based random numbers (Philox4x32-10): the same bits on every device and thread count.
// Owns seed and position only; core/fn/philox.h has the arithmetic, kernels fill tensors.
#pragma once

#include <cstdint>

#include "weft/core/export.h"

namespace weft {

/// A stream of random numbers. Element i of a fill takes word i%4 of block offset + i/4 of the key `seed`; a fill
/// then moves the offset past what it used.
class WEFT_API Generator {
 public:
  /// All that a generator is: kept and set again, it draws the same numbers.
  struct State {
    uint64_t seed = 0, offset = 0;  ///< of the generator; blocks of four words that are used
    friend bool operator==(const State&, const State&) = default;
  };
  /// A stream that begins at block 0 of `seed`.
  explicit Generator(uint64_t seed = 0) : state_{seed, 0} {}
  /// Begins anew, at block 0 of `s`.
  void seed(uint64_t s) { state_ = {s, 0}; }
  /// Where the stream is, and how it gets there again.
  State state() const { return state_; }
  void set_state(State s) { state_ = s; }
  /// Reserves `blocks` of four 32-bit words and returns where they begin.
  State reserve(uint64_t blocks) {
    State s = state_;
    state_.offset += blocks;
    return s;
  }
  /// One number in [0, n) on the host (shuffles, picks).
  uint64_t below(uint64_t n);
  /// One double in [0, 1) on the host.
  double uniform();

 private:
  State state_;
};

/// This thread's generator. A new thread's is seeded from the system's entropy.
WEFT_API Generator& default_generator();
/// Seeds this thread's generator.
WEFT_API void manual_seed(uint64_t seed);

}  // namespace weft
