// What backends/cuda/mma.cuh promises kernels, emulated.
#include <bit>
#include <cstring>

#include "support/cuda_emulator.h"
#include "support/sanitizers.h"
#include "weft/core/dtype.h"

namespace cuda_emulator {
namespace {

WEFT_NOT_TRACED bool is_aligned(const void* p, int bytes) {
  return reinterpret_cast<uintptr_t>(p) % static_cast<uintptr_t>(bytes) == 0;
}

/// A lane's registers.
struct Fragments {
  float* d;
  const uint32_t* a;
  const uint32_t* b;
};
template <class T> WEFT_NOT_TRACED double half_of(uint32_t pair, unsigned which) {
  T v;
  v.bits = static_cast<uint16_t>(pair >> 16 * which);
  return static_cast<float>(v);
}
/// The card reads 10 bits of the mantissa.
WEFT_NOT_TRACED double tf32_of(uint32_t bits, unsigned) { return std::bit_cast<float>(bits & 0xffffe000u); }

/// d [16, 8] += a [16, K] b [K, 8], a register of a and b holding `Many` numbers: layouts of the PTX ISA, "Matrix
/// fragments for mma.m16n8k16" and "... m16n8k8". Sums are rounded once, where the card cuts in steps.
template <unsigned Many, double (*Number)(uint32_t, unsigned)> WEFT_NOT_TRACED void multiply(const Lanes& lanes) {
  constexpr unsigned kDepth = 8 * Many;
  double a[16][kDepth], b[kDepth][8];
  for (unsigned l = 0; l < 32; ++l) {
    const auto* f = reinterpret_cast<const Fragments*>(lanes.value[l]);
    const unsigned group = l / 4, place = l % 4;
    for (unsigned h = 0; h < Many; ++h) {
      for (unsigned i = 0; i < 4; ++i) a[group + i % 2 * 8][place * Many + h + i / 2 * 4 * Many] = Number(f->a[i], h);
      for (unsigned i = 0; i < 2; ++i) b[place * Many + h + i * 4 * Many][group] = Number(f->b[i], h);
    }
  }
  for (unsigned l = 0; l < 32; ++l) {
    const auto* f = reinterpret_cast<const Fragments*>(lanes.value[l]);
    for (unsigned i = 0; i < 4; ++i) {
      const unsigned row = l / 4 + i / 2 * 8, column = l % 4 * 2 + i % 2;
      double sum = static_cast<double>(f->d[i]);
      for (unsigned k = 0; k < kDepth; ++k) sum += a[row][k] * b[k][column];
      f->d[i] = static_cast<float>(sum);
    }
  }
}

/// The thread's own work: its accesses are traced.
void fill_later(void* to, int bytes) { std::memset(to, 0xff, static_cast<size_t>(bytes)); }
void arrive(void* to, const void* from, int bytes, int given) {
  std::memcpy(to, from, static_cast<size_t>(given));
  std::memset(static_cast<char*>(to) + given, 0, static_cast<size_t>(bytes - given));
}

}  // namespace

WEFT_NOT_TRACED void mma(MmaType type, float* d, const uint32_t* a, const uint32_t* b) {
  const Fragments mine{d, a, b};
  (void)exchange(~0u, reinterpret_cast<uintptr_t>(&mine), kMma,
                 type == MmaType::bf16  ? multiply<2, half_of<weft::bf16>>
                 : type == MmaType::f16 ? multiply<2, half_of<weft::f16>>
                                        : multiply<1, tf32_of>);
}

void ldmatrix(uint32_t* to, int matrices, bool transposed, const void* row) {
  const unsigned l = lane();
  const bool asked = static_cast<int>(l) < 8 * matrices;
  if (asked && !is_aligned(row, 16)) fail("the address of a row is not a multiple of 16", kLdmatrix);
  if (asked && !is_shared(row, 16)) fail("a row is not in shared memory", kLdmatrix);
  const Lanes rows = exchange(~0u, reinterpret_cast<uintptr_t>(row), kLdmatrix);
  for (unsigned i = 0; i < static_cast<unsigned>(matrices); ++i) {
    uint32_t pair = 0;
    for (unsigned h = 0; h < 2; ++h) {
      const unsigned r = transposed ? l % 4 * 2 + h : l / 4, c = transposed ? l / 4 : l % 4 * 2 + h;
      pair |= uint32_t{reinterpret_cast<const uint16_t*>(rows.value[8 * i + r])[c]} << 16 * h;
    }
    to[i] = pair;
  }
}

namespace {

struct Copy {
  void* to;
  const void* from;
  int bytes, given;
  int64_t group;
};
constexpr unsigned kMostCopies = 512;  // of a thread at once
struct Copies {
  Copy ring[kMostCopies];
  unsigned first, count;  // of those under way
  int64_t groups;         // that were committed
};
Copies g_copies[1024];
WEFT_NOT_TRACED Copies& mine() { return g_copies[thread_number()]; }

}  // namespace

WEFT_NOT_TRACED void forget_copies() { mine().count = 0; }
WEFT_NOT_TRACED bool copies_under_way() { return mine().count != 0; }

WEFT_NOT_TRACED void start_copy(void* to, const void* from, int bytes, int given) {
  if (given < 0 || given > bytes) fail("more bytes are given than the copy has", kCpAsync);
  if (!is_aligned(to, bytes) || !is_aligned(from, bytes)) fail("an address is not a multiple of the size", kCpAsync);
  if (!is_shared(to, static_cast<size_t>(bytes))) fail("the destination is not in shared memory", kCpAsync);
  Copies& c = mine();
  if (c.count == kMostCopies) fail("too many copies at once", kCpAsync);
  c.ring[(c.first + c.count++) % kMostCopies] = {to, from, bytes, given, c.groups};
  fill_later(to, bytes);
}
WEFT_NOT_TRACED void commit_copies() { ++mine().groups; }
WEFT_NOT_TRACED void wait_for_copies(int most_groups) {
  Copies& c = mine();
  for (; c.count; --c.count, c.first = (c.first + 1) % kMostCopies) {
    const Copy& next = c.ring[c.first];
    if (next.group >= c.groups - most_groups) return;
    arrive(next.to, next.from, next.bytes, next.given);
  }
}

}  // namespace cuda_emulator
