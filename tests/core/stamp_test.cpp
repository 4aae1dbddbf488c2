#include "weft/core/stamp.h"

#include <doctest/doctest.h>

#include "weft/core/factory.h"

using namespace weft;

TEST_SUITE_BEGIN("stamp");

TEST_CASE("a stamp tells a write, a swap and another tensor, and is the same for views") {
  Tensor a = ones({4}), b = ones({4});
  const Stamp before(a);
  CHECK(before == Stamp(a));
  CHECK(before == Stamp(a.narrow(0, 1, 2)));
  CHECK(before != Stamp(b));
  CHECK(Stamp() != before);
  CHECK(Stamp() == Stamp());
  a.fill_(2);
  CHECK(before != Stamp(a));
  const Stamp of_b(b);
  a.swap_contents(b);
  CHECK(Stamp(a) == of_b);
}

TEST_SUITE_END();
