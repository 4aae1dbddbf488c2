#include "weft/core/generator.h"

#include <random>

#include "weft/core/error.h"
#include "weft/core/fn/philox.h"
#include "weft/core/recording.h"

namespace weft {
namespace {

Generator::State one(Generator& g) {
  if (detail::Recording* r = detail::recording())
    r->refuse("a number drawn on the host", "would be the same in every run; draw it outside and pass it in");
  return g.reserve(1);
}

}  // namespace

uint64_t Generator::below(uint64_t n) {
  WEFT_CHECK(n > 0, ValueError, "Generator::below: the bound must be positive, got 0");
  const State s = one(*this);
  const fn::PhiloxBlock b = fn::philox(s.seed, s.offset);
  return fn::bounded(uint64_t{b.w0} << 32 | b.w1, n);
}

double Generator::uniform() {
  const State s = one(*this);
  const fn::PhiloxBlock b = fn::philox(s.seed, s.offset);
  return fn::uniform01(b.w0, b.w1);
}

Generator& default_generator() {
  thread_local Generator generator([] {
    std::random_device entropy;
    return uint64_t{entropy()} << 32 | entropy();
  }());
  return generator;
}

void manual_seed(uint64_t seed) { default_generator().seed(seed); }

}  // namespace weft
