#include <cstring>

#include "weft/backends/cpu/simd/register.h"
#include "weft/core/fn/axes.h"
#include "weft/core/kernels.h"
#include "weft/core/parallel.h"

namespace weft::cpu::WEFT_ISA {
namespace {

// Both tensors in memory order: outer axes, one row axis, and blocks of `block` elements that no padding touches.
struct Rows {
  int outer = 0;
  fn::PadAxis axis[kMaxRank];
  int64_t small[kMaxRank], large[kMaxRank];  // strides of the outer axes in the unpadded and in the padded tensor
  fn::PadAxis row;
  int64_t block = 1;
  int64_t small_row = 1, large_row = 1;  // strides of the row axis

  Rows(const TensorRef& unpadded, const TensorRef& padded, const PadParams& p) {
    int order[kMaxRank], n = fn::memory_order(order, padded.strides, padded.rank);
    for (; n > 0; --n) {
      const int i = order[n - 1];
      if (p.axis[i].changes() || (p.axis[i].size > 1 && unpadded.strides[i] != block)) break;
      block *= p.axis[i].size;
    }
    if (n > 0) {
      const int i = order[--n];
      row = p.axis[i];
      small_row = unpadded.strides[i];
      large_row = padded.strides[i];
    } else {
      small_row = large_row = block;
    }
    for (int k = 0; k < n; ++k) {
      const int i = order[k];
      axis[outer] = p.axis[i];
      small[outer] = unpadded.strides[i];
      large[outer++] = padded.strides[i];
    }
    // a row axis of one element has no stride of its own
    if (row.size == 1) small_row = block;
    if (row.out() == 1) large_row = block;
  }
  // The coordinates of the row that are copied as one run.
  int64_t run_begin() const { return row.lo > 0 ? row.lo : 0; }
  int64_t run_end() const {
    const int64_t end = row.size + row.lo < row.out() ? row.size + row.lo : row.out(), begin = run_begin();
    return end < begin ? begin : end;
  }
};

template <class T> void pad_typed(const MutTensorRef& out, const TensorRef& x, const PadParams& p, T value) {
  const Rows r(x, out, p);
  int64_t rows = 1;
  for (int i = 0; i < r.outer; ++i) rows *= r.axis[i].out();
  const int64_t block = r.block, length = r.row.out(), begin = r.run_begin(), end = r.run_end();
  T* y = out.as_mut<T>();
  const T* from = x.as<T>();
  parallel_for(rows, kSerialBelow / (length * block) + 1, [&](int64_t first, int64_t last) {
    for (int64_t at = first; at < last; ++at) {
      int64_t rest = at, xo = 0, yo = 0;
      bool outside = false;
      for (int i = r.outer - 1; i >= 0; --i) {
        const int64_t o = rest % r.axis[i].out(), s = fn::pad_source(p.mode, r.axis[i], o);
        rest /= r.axis[i].out();
        outside |= s < 0;
        xo += s * r.small[i];
        yo += o * r.large[i];
      }
      T* d = y + yo;
      if (outside) {
        for (int64_t i = 0; i < length * block; ++i) d[i] = value;
        continue;
      }
      const T* s = from + xo;
      auto edge = [&](int64_t o) {
        const int64_t i = fn::pad_source(p.mode, r.row, o);
        T* to = d + o * block;
        if (i < 0)
          for (int64_t k = 0; k < block; ++k) to[k] = value;
        else if (block == 1) *to = s[i * r.small_row];
        else std::memcpy(to, s + i * r.small_row, static_cast<size_t>(block) * sizeof(T));
      };
      for (int64_t o = 0; o < begin; ++o) edge(o);
      if (r.small_row == block) {
        std::memcpy(d + begin * block, s + (begin - r.row.lo) * block,
                    static_cast<size_t>((end - begin) * block) * sizeof(T));
      } else {
        for (int64_t o = begin; o < end; ++o) edge(o);
      }
      for (int64_t o = end; o < length; ++o) edge(o);
    }
  });
}

void pad_kernel(const MutTensorRef& out, const TensorRef& x, const PadParams& p) {
  if (out.numel == 0) return;
  unsigned char bits[8] = {};
  dispatch_all(x.dtype, "pad", [&]<class T> {
    const T v = Scalar(p.value).to<T>();
    std::memcpy(bits, &v, sizeof v);
  });
  dispatch_size(x.dtype, [&]<class T> {
    T value;
    std::memcpy(&value, bits, sizeof value);
    pad_typed<T>(out, x, p, value);
  });
}

// Every element of gx collects what it was copied to, in the order of g: no two threads write one element.
template <class T> void pad_backward_typed(const MutTensorRef& gx, const TensorRef& g, const PadParams& p) {
  const Rows r(gx, g, p);
  int64_t rows = 1;
  for (int i = 0; i < r.outer; ++i) rows *= r.axis[i].size;
  const int64_t block = r.block, length = r.row.out(), begin = r.run_begin(), end = r.run_end();
  T* out = gx.as_mut<T>();
  const T* from = g.as<T>();
  parallel_for(rows, kSerialBelow / (length * block) + 1, [&](int64_t first, int64_t last) {
    for (int64_t at = first; at < last; ++at) {
      int64_t rest = at, xo = 0;
      fn::PadTargets targets[kMaxRank];
      int64_t o[kMaxRank];
      int range[kMaxRank];
      bool none = false;
      for (int i = r.outer - 1; i >= 0; --i) {
        const int64_t c = rest % r.axis[i].size;
        rest /= r.axis[i].size;
        xo += c * r.small[i];
        targets[i] = fn::pad_targets(p.mode, r.axis[i], c);
        none |= targets[i].count == 0;
        range[i] = 0;
        o[i] = targets[i].begin[0];
      }
      T* d = out + xo;
      std::memset(d, 0, static_cast<size_t>(r.row.size * block) * sizeof(T));
      for (bool more = !none; more;) {
        int64_t go = 0;
        for (int i = 0; i < r.outer; ++i) go += o[i] * r.large[i];
        const T* s = from + go;
        auto edge = [&](int64_t c) {
          const int64_t i = fn::pad_source(p.mode, r.row, c);
          if (i < 0) return;
          for (int64_t k = 0; k < block; ++k) d[i * block + k] += s[c * block + k];
        };
        for (int64_t c = 0; c < begin; ++c) edge(c);
        T* run = d + (begin - r.row.lo) * block;
        const T* add = s + begin * block;
        const int64_t count = (end - begin) * block;
#pragma omp simd
        for (int64_t k = 0; k < count; ++k) run[k] += add[k];
        for (int64_t c = end; c < length; ++c) edge(c);
        more = fn::next_targets(targets, r.outer, o, range);
      }
    }
  });
}

void pad_backward_kernel(const MutTensorRef& gx, const TensorRef& g, const PadParams& p) {
  if (gx.numel == 0) return;
  detail::dispatch_types<float, double>(gx.dtype, "pad_backward", [&]<class T> { pad_backward_typed<T>(gx, g, p); });
}

}  // namespace

void register_pad() {
  kernels::pad.set(DeviceType::cpu, pad_kernel);
  kernels::pad_backward.set(DeviceType::cpu, pad_backward_kernel);
}

}  // namespace weft::cpu::WEFT_ISA
