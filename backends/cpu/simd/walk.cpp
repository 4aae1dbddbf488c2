#include <algorithm>

#include "weft/backends/cpu/simd/elementwise.h"
#include "weft/backends/cpu/simd/put.h"
#include "weft/core/parallel.h"

namespace weft::cpu::WEFT_ISA {
namespace {

constexpr int64_t kChunk = 512;  // elements of a buffer: the buffers of three operands fit the first-level cache
constexpr int kMax = ElementPlan::kMaxOperands;

// An operand's elements as compute type, contiguous.
using Load = void (*)(void* buffer, const void* from, int64_t stride, int64_t n);
using Store = void (*)(void* to, int64_t stride, const void* buffer, int64_t n);

template <class T> void load(void* buffer, const void* from, int64_t stride, int64_t n) {
  using C = compute_t<T>;
  C* b = static_cast<C*>(buffer);
  const T* p = static_cast<const T*>(from);
  if (stride == 0) {
    std::fill_n(b, n, static_cast<C>(*p));
  } else if (stride == 1) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) b[i] = static_cast<C>(p[i]);
  } else {
    for (int64_t i = 0; i < n; ++i) b[i] = static_cast<C>(p[i * stride]);
  }
}

template <class T> void save(void* to, int64_t stride, const void* buffer, int64_t n) {
  using C = compute_t<T>;
  T* p = static_cast<T*>(to);
  const C* b = static_cast<const C*>(buffer);
  if (stride == 1) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) put(p[i], b[i]);
  } else {
    for (int64_t i = 0; i < n; ++i) put(p[i * stride], b[i]);
  }
}

struct Walker {
  const ElementPlan& plan;
  ContiguousLoop loop;
  const void* f;
  char* base[kMax];
  int64_t step[kMax];   // bytes per element
  int64_t inner[kMax];  // stride along the innermost axis, in elements
  bool direct[kMax];    // the loop reads or writes the operand itself
  bool all_direct = true;
  Load loads[kMax] = {};
  Store store = nullptr;
};

// What is done to a run of elements: by the loop itself, or through buffers, which each thread has once.
struct Direct {
  const Walker& w;
  explicit Direct(const Walker& walker) : w(walker) {}
  WEFT_INLINE void operator()(const int64_t* at, int64_t n) {
    const void* in[kMax];
    for (int k = 1; k < w.plan.operands; ++k) in[k - 1] = w.base[k] + at[k] * w.step[k];
    w.loop(w.f, w.base[0] + at[0] * w.step[0], in, n);
  }
};
struct Buffered {
  const Walker& w;
  alignas(64) char buffers[kMax][kChunk * 8];
  explicit Buffered(const Walker& walker) : w(walker) {}
  WEFT_INLINE void operator()(const int64_t* at, int64_t n) {
    const void* in[kMax];
    char* p[kMax];
    for (int k = 0; k < w.plan.operands; ++k) p[k] = w.base[k] + at[k] * w.step[k];
    for (int64_t i = 0; i < n; i += kChunk) {
      const int64_t m = std::min(kChunk, n - i);
      for (int k = 1; k < w.plan.operands; ++k) {
        if (w.direct[k]) {
          in[k - 1] = p[k] + i * w.step[k];
          continue;
        }
        // a broadcast value is loaded once
        if (w.inner[k] != 0 || i == 0)
          w.loads[k](buffers[k], p[k] + i * w.inner[k] * w.step[k], w.inner[k], w.inner[k] ? m : std::min(kChunk, n));
        in[k - 1] = buffers[k];
      }
      char* out = p[0] + i * w.inner[0] * w.step[0];
      w.loop(w.f, w.direct[0] ? out : buffers[0], in, m);
      if (!w.direct[0]) w.store(out, w.inner[0], buffers[0], m);
    }
  }
};

// Calls a Run for innermost runs that cover the plan.
template <class Run> void each_run(const Walker& w) {
  const ElementPlan& p = w.plan;
  const int last = p.rank - 1;
  const int64_t length = p.shape[last];
  if (p.rank == 1) {
    parallel_for(length, kSerialBelow, [&](int64_t begin, int64_t end) {
      int64_t at[kMax];
      for (int k = 0; k < p.operands; ++k) at[k] = begin * p.strides[k][0];
      Run run(w);
      run(at, end - begin);
    });
    return;
  }
  const int64_t grain = length >= kSerialBelow ? 1 : kSerialBelow / length;
  parallel_for(p.numel / length, grain, [&](int64_t begin, int64_t end) {
    Run run(w);
    p.walk(begin, end, last, p.operands, [&](const int64_t* at) { run(at, length); });
  });
}

}  // namespace

void walk(const ElementPlan& plan, void* out, Dtype out_dtype, const void* const* in, Dtype dtype, ContiguousLoop loop,
          const void* f) {
  if (plan.numel == 0) return;
  Walker w{plan, loop, f, {}, {}, {}, {}};
  for (int k = 0; k < plan.operands; ++k) {
    const Dtype d = k == 0 ? out_dtype : dtype;
    w.base[k] = k == 0 ? static_cast<char*>(out) : static_cast<char*>(const_cast<void*>(in[k - 1]));
    w.step[k] = static_cast<int64_t>(itemsize(d));
    w.inner[k] = plan.strides[k][plan.rank - 1];
    w.direct[k] = w.inner[k] == 1 && d == compute_dtype(d);
    w.all_direct = w.all_direct && w.direct[k];
  }
  if (w.all_direct) return each_run<Direct>(w);
  dispatch_all(dtype, "elementwise", [&]<class T> { std::fill_n(w.loads, kMax, load<T>); });
  dispatch_all(out_dtype, "elementwise", [&]<class T> { w.store = save<T>; });
  each_run<Buffered>(w);
}

}  // namespace weft::cpu::WEFT_ISA
