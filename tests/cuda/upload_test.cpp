// Host bytes on the card.
#include <doctest/doctest.h>

#include <cstring>
#include <numeric>
#include <vector>

#include "weft/backends/cuda/upload.cuh"

TEST_SUITE_BEGIN("cuda upload");

TEST_CASE("bytes that kernels carry") {
  using namespace weft::cuda;
  for (const size_t bytes :
       {size_t{1}, size_t{3}, size_t{4}, size_t{1023}, CarriedBytes::kMost, 2 * CarriedBytes::kMost + 6}) {
    CAPTURE(bytes);
    std::vector<unsigned char> host(bytes);
    std::iota(host.begin(), host.end(), static_cast<unsigned char>(1));
    const Scratch scratch(bytes);  // an overrun would show
    const int64_t before = cuda_emulator::launches();
    carry(scratch.as<>(), host.data(), bytes);
    CHECK(std::memcmp(scratch.as<>(), host.data(), bytes) == 0);
    CHECK(cuda_emulator::launches() - before ==
          static_cast<int64_t>((bytes + CarriedBytes::kMost - 1) / CarriedBytes::kMost));
  }
}

TEST_SUITE_END();
