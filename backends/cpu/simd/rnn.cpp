// Recurrent layers: a step is one pass over blocks of samples and units, whose products stay in the first-level cache
// until gates are made of them. The state goes from step to step in the order in which the products read it.
#include "weft/backends/cpu/rnn.h"

#include <algorithm>

#include "weft/backends/cpu/scratch.h"
#include "weft/backends/cpu/simd/convert.h"
#include "weft/backends/cpu/simd/dot_tile.h"
#include "weft/backends/cpu/simd/norm_loops.h"
#include "weft/backends/cpu/simd/put.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/backends/cpu/simd/tile.h"
#include "weft/core/fn/integer.h"
#include "weft/core/fn/rnn.h"
#include "weft/core/parallel.h"

namespace weft::cpu::WEFT_ISA {
namespace {

constexpr int64_t kSerialWork = 1 << 17;  // multiply-adds of a step

/// Samples and units that are computed together.
template <class C> struct Block {
  static constexpr int64_t kRows = Tile<C>::kRows, kCols = Tile<C>::kCols, kSize = kRows * kCols;
};
/// What a block is worked on in: numbers of its gates, of h, and of one row's c.
template <class C, RnnKind kind> struct Workspace {
  alignas(64) C gates[(rnn_gates(kind) == 1 ? 1 : 4) * Block<C>::kSize], h[Block<C>::kSize], c[Block<C>::kCols];
};

template <class C> void zero(C* p, int64_t n) { __builtin_memset(p, 0, static_cast<size_t>(n) * sizeof(C)); }

// Not std::swap: its copy would have this instruction set under a name that all files share.
template <class C> void flip(C*& a, C*& b) {
  C* was = a;
  a = b, b = was;
}

/// Numbers of N samples as the left operand: panels [depth][rows]. `Pairs`: an element is two bf16 numbers.
template <class C, bool Pairs> struct Panels {
  static constexpr int64_t kNumbers = Pairs ? 2 : 1;  // of an element
  int64_t N, depth;
  int64_t most;  ///< rows of a panel, as equal as whole tiles allow: few rows keep too few sums in flight
  Panels(int64_t samples, int64_t numbers)
      : N(samples),
        depth(numbers / kNumbers),
        most(fn::round_up(fn::ceil_div(N, fn::ceil_div(N, Block<C>::kRows)), Tile<C>::kFewRows)) {}

  int64_t count() const { return fn::ceil_div(N, most); }
  int64_t size() const { return count() * most * depth; }
  int64_t first(int64_t p) const { return p * most; }
  int64_t rows(int64_t p) const { return std::min(most, N - first(p)); }
  /// Rows that are computed.
  int64_t height(int64_t p) const {
    constexpr int64_t few = Tile<C>::kFewRows;
    const int64_t n = rows(p);
    return n == 1 ? 1 : fn::round_up(n, few);
  }
  C* at(C* memory, int64_t p, int64_t k) const { return memory + first(p) * depth + k * height(p); }

  /// Numbers k... of panel p become block [rows][n], which bf16 can hold where Pairs.
  void put(C* memory, int64_t p, int64_t k, const C* block, int64_t n) const {
    constexpr int64_t cols = Block<C>::kCols;
    if constexpr (Pairs) {
      alignas(64) uint32_t pairs[Block<C>::kSize / 2];
      for (int64_t r = 0; r < rows(p); ++r) join(pairs + r * (cols / 2), block + r * cols, n / 2);
      transpose_2d(at(memory, p, k / 2), height(p), pairs, cols / 2, n / 2, rows(p), sizeof(C));
    } else {
      transpose_2d(at(memory, p, k), height(p), block, cols, n, rows(p), sizeof(C));
    }
  }
  static void join(uint32_t* to, const float* from, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i)
      to[i] = __builtin_bit_cast(uint32_t, from[2 * i]) >> 16 | __builtin_bit_cast(uint32_t, from[2 * i + 1]);
  }
  /// block = panel p times `weight`.
  void multiply(const C* memory, int64_t p, const C* weight, C* block) const {
    constexpr int few = Tile<C>::kFewRows;
    constexpr int64_t cols = Block<C>::kCols;
    const C* a = memory + first(p) * depth;
    using Product = std::conditional_t<Pairs, DotTile, Tile<C>>;
    switch (const int64_t h = height(p)) {
      case 1: return Product::template multiply<1>(depth, a, h, weight, cols, block, cols, false);
      case few: return Product::template multiply<few>(depth, a, h, weight, cols, block, cols, false);
      case 2 * few: return Product::template multiply<2 * few>(depth, a, h, weight, cols, block, cols, false);
      default: return Product::template multiply<3 * few>(depth, a, h, weight, cols, block, cols, false);
    }
  }
};

/// unit(p, j, n) for all panels and blocks of n units from j on.
template <class C, bool Pairs, class F>
void for_blocks(const Panels<C, Pairs>& panels, int64_t H, int64_t work, const F& unit) {
  const int64_t count = panels.count(), units = count * fn::ceil_div(H, Block<C>::kCols);
  parallel_for(units, work < kSerialWork ? units : 1, [&](int64_t begin, int64_t end) {
    for (int64_t u = begin; u < end; ++u) {
      const int64_t j = u / count * Block<C>::kCols;
      unit(u % count, j, std::min(Block<C>::kCols, H - j));
    }
  });
}

// Loops over units are functions of their own: pointers that a lambda captured are read again after every store.
template <class T, class C> void load(C* to, const T* from, int64_t n) {
#pragma omp simd
  for (int64_t u = 0; u < n; ++u) to[u] = static_cast<C>(from[u]);
}
template <class T, class C> void store(T* to, const C* from, int64_t n) {
#pragma omp simd
  for (int64_t u = 0; u < n; ++u) put(to[u], from[u]);
}

// a: rows of a block per gate, h's part of the sums on entry and the gates on return; x: the input's part, gates H
// apart.
template <RnnKind kind, class T, class C> void plain_row(int64_t n, const C* a, const T* x, C* h) {
#pragma omp simd
  for (int64_t u = 0; u < n; ++u) {
    const C s = a[u] + static_cast<C>(x[u]);
    h[u] = fn::kept_as<T>(kind == RnnKind::tanh ? fn::tanh(s) : (s < C(0) ? C(0) : s));  // a NaN stays
  }
}
template <class T, class C> void lstm_row(int64_t n, int64_t H, C* a, const T* x, C* c, C* h) {
  C *ai = a, *af = a + Block<C>::kSize, *ag = a + 2 * Block<C>::kSize, *ao = a + 3 * Block<C>::kSize;
  const T *xf = x + H, *xg = xf + H, *xo = xg + H;
#pragma omp simd
  for (int64_t u = 0; u < n; ++u) {
    C i = ai[u] + static_cast<C>(x[u]), f = af[u] + static_cast<C>(xf[u]), g = ag[u] + static_cast<C>(xg[u]),
      o = ao[u] + static_cast<C>(xo[u]), state = c[u];
    h[u] = fn::kept_as<T>(fn::lstm(i, f, g, o, state));
    ai[u] = i, af[u] = f, ag[u] = g, ao[u] = o;
    c[u] = state;
  }
}
// Gate 3 of a: h's part of the new gate.
template <class T, class C> void gru_row(int64_t n, int64_t H, C* a, const T* x, const T* bias, const T* before, C* h) {
  C *ar = a, *az = a + Block<C>::kSize, *an = a + 2 * Block<C>::kSize, *part = a + 3 * Block<C>::kSize;
  const T *xz = x + H, *xn = xz + H, *bz = bias + H, *bn = bz + H;
#pragma omp simd
  for (int64_t u = 0; u < n; ++u) {
    C r = ar[u] + static_cast<C>(bias[u]) + static_cast<C>(x[u]),
      z = az[u] + static_cast<C>(bz[u]) + static_cast<C>(xz[u]), m = static_cast<C>(xn[u]);
    const C of_h = an[u] + static_cast<C>(bn[u]);
    h[u] = fn::kept_as<T>(fn::gru(r, z, m, of_h, static_cast<C>(before[u])));
    ar[u] = r, az[u] = z, an[u] = m, part[u] = of_h;
  }
}

// d: gradient of h through later steps; a: gradients of the sums.
template <RnnKind kind, class T, class C> void plain_backward_row(int64_t n, const C* d, const T* g, const T* y, C* a) {
#pragma omp simd
  for (int64_t u = 0; u < n; ++u) {
    const C dh = d[u] + static_cast<C>(g[u]), v = static_cast<C>(y[u]);
    a[u] = fn::kept_as<T>(kind == RnnKind::tanh ? dh * (1 - v * v) : (v <= C(0) ? C(0) : dh));
  }
}
template <class T, class C>
void lstm_backward_row(int64_t n, int64_t H, const C* d, const T* gy, const T* kept, const T* before, C* dc, C* a) {
  C *ai = a, *af = a + Block<C>::kSize, *ag = a + 2 * Block<C>::kSize, *ao = a + 3 * Block<C>::kSize;
  const T *kf = kept + H, *kg = kf + H, *ko = kg + H, *kc = ko + H;
#pragma omp simd
  for (int64_t u = 0; u < n; ++u) {
    C i = static_cast<C>(kept[u]), f = static_cast<C>(kf[u]), g = static_cast<C>(kg[u]), o = static_cast<C>(ko[u]),
      later = dc[u];
    fn::lstm_backward(d[u] + static_cast<C>(gy[u]), later, i, f, g, o, static_cast<C>(kc[u]),
                      static_cast<C>(before[u]));
    ai[u] = fn::kept_as<T>(i), af[u] = fn::kept_as<T>(f), ag[u] = fn::kept_as<T>(g), ao[u] = fn::kept_as<T>(o);
    dc[u] = later;
  }
}
// Gate 2 of a: of h's part of the new gate; 3: of the input's.
template <class T, class C>
void gru_backward_row(int64_t n, int64_t H, const C* d, const T* g, const T* kept, const T* before, C* rest, C* a) {
  C *ar = a, *az = a + Block<C>::kSize, *part = a + 2 * Block<C>::kSize, *an = a + 3 * Block<C>::kSize;
  const T *kz = kept + H, *kn = kz + H, *kp = kn + H;
#pragma omp simd
  for (int64_t u = 0; u < n; ++u) {
    C r = static_cast<C>(kept[u]), z = static_cast<C>(kz[u]), m = static_cast<C>(kn[u]), p = static_cast<C>(kp[u]);
    const C dh = d[u] + rest[u] + static_cast<C>(g[u]);
    rest[u] = fn::gru_backward(dh, r, z, m, p, static_cast<C>(before[u]));
    ar[u] = fn::kept_as<T>(r), az[u] = fn::kept_as<T>(z), an[u] = fn::kept_as<T>(m), part[u] = fn::kept_as<T>(p);
  }
}

/// Number of the step that is the i-th to run.
struct Order {
  int64_t T;
  bool reverse;
  int64_t at(int64_t i) const { return reverse ? T - 1 - i : i; }
};

template <class T, RnnKind kind, bool Pairs>
void forward_typed(const MutTensorRef& y, const MutTensorRef& c, const MutTensorRef& kept, const TensorRef& gx,
                   const TensorRef& h0, const void* packed, const TensorRef& bias, bool reverse) {
  using C = compute_t<T>;
  constexpr int64_t G = rnn_gates(kind), K = rnn_kept(kind), B = Block<C>::kSize;
  const int64_t N = y.size(1), H = y.size(2);
  const Order order{y.size(0), reverse};
  const Panels<C, Pairs> panels(N, H);
  const Scratch memory(static_cast<size_t>(2 * panels.size()) * sizeof(C));
  C *now = memory.as<C>(), *next = now + panels.size();
  zero(now, 2 * panels.size());  // rows beyond N too
  for_blocks(panels, H, 0, [&](int64_t p, int64_t j, int64_t n) {
    alignas(64) C h[B];
    for (int64_t r = 0; r < panels.rows(p); ++r)
      load(h + r * Block<C>::kCols, h0.as<T>() + (panels.first(p) + r) * H + j, n);
    panels.put(now, p, j, h, n);
  });
  for (int64_t i = 0; i < order.T; ++i) {
    const int64_t t = order.at(i);
    const T* past = i == 0 ? h0.as<T>() : y.as_mut<T>() + order.at(i - 1) * N * H;
    for_blocks(panels, H, N * H * H * G, [&](int64_t p, int64_t j, int64_t n) {
      Workspace<C, kind> own;
      C *a = own.gates, *h = own.h;
      for (int64_t g = 0; g < G; ++g)
        panels.multiply(now, p, static_cast<const C*>(packed) + (j * G + g * Block<C>::kCols) * panels.depth,
                        a + g * B);
      for (int64_t r = 0; r < panels.rows(p); ++r) {
        const int64_t sample = panels.first(p) + r, unit = sample * H + j;
        const T* x = gx.as<T>() + (t * N + sample) * G * H + j;
        C *gates = a + r * Block<C>::kCols, *hr = h + r * Block<C>::kCols;
        if constexpr (kind == RnnKind::lstm) {
          load(own.c, c.as_mut<T>() + unit, n);
          lstm_row(n, H, gates, x, own.c, hr);
          store(c.as_mut<T>() + unit, own.c, n);
        } else if constexpr (kind == RnnKind::gru) gru_row(n, H, gates, x, bias.as<T>() + j, past + unit, hr);
        else plain_row<kind>(n, gates, x, hr);
        store(y.as_mut<T>() + t * N * H + unit, hr, n);
        if (!kept.defined()) continue;
        T* to = kept.as_mut<T>() + (t * N + sample) * K * H + j;
        for (int64_t g = 0; g < std::min<int64_t>(K, 4); ++g) store(to + g * H, gates + g * B, n);
        if constexpr (kind == RnnKind::lstm) store(to + 4 * H, own.c, n);
      }
      panels.put(next, p, j, h, n);
    });
    flip(now, next);
  }
}

template <class T, RnnKind kind, bool Pairs>
void backward_typed(const MutTensorRef& dgx, const MutTensorRef& dgh, const MutTensorRef& dh0, const MutTensorRef& dc,
                    const TensorRef& g, const TensorRef& y, const TensorRef& kept, const TensorRef& h0,
                    const TensorRef& c0, const void* packed, bool reverse) {
  using C = compute_t<T>;
  constexpr int64_t G = rnn_gates(kind), K = rnn_kept(kind), B = Block<C>::kSize;
  constexpr bool gru = kind == RnnKind::gru, lstm = kind == RnnKind::lstm;
  const int64_t N = y.size(1), H = y.size(2), work = N * H * H * G;
  const Order order{y.size(0), reverse};
  const Panels<C, Pairs> panels(N, G * H);
  const int64_t size = panels.size();
  const Scratch memory(static_cast<size_t>(2 * size + (gru ? N * H : 0)) * sizeof(C));
  C *now = memory.as<C>(), *next = now + size, *rest = next + size;
  zero(now, 2 * size + (gru ? N * H : 0));
  const auto* weight = static_cast<const C*>(packed);
  for (int64_t i = order.T - 1; i >= 0; --i) {
    const int64_t t = order.at(i), earlier = i == 0 ? 0 : order.at(i - 1) * N;
    for_blocks(panels, H, work, [&](int64_t p, int64_t j, int64_t n) {
      Workspace<C, kind> own;
      C *a = own.gates, *d = own.h;
      if (i == order.T - 1) zero(d, B);
      else panels.multiply(now, p, weight + j * panels.depth, d);
      for (int64_t r = 0; r < panels.rows(p); ++r) {
        const int64_t sample = panels.first(p) + r, unit = sample * H + j, place = t * N * H + unit;
        C *sums = a + r * Block<C>::kCols, *dr = d + r * Block<C>::kCols;
        const T* of_step = K ? kept.as<T>() + (t * N + sample) * K * H + j : nullptr;
        if constexpr (lstm)
          lstm_backward_row(n, H, dr, g.as<T>() + place, of_step,
                            i == 0 ? c0.as<T>() + unit : kept.as<T>() + ((earlier + sample) * K + 4) * H + j,
                            dc.as_mut<C>() + unit, sums);
        else if constexpr (gru)
          gru_backward_row(n, H, dr, g.as<T>() + place, of_step, (i == 0 ? h0.as<T>() : y.as<T>() + earlier * H) + unit,
                           rest + unit, sums);
        else plain_backward_row<kind>(n, dr, g.as<T>() + place, y.as<T>() + place, sums);
        const int64_t at = (t * N + sample) * G * H + j;
        for (int64_t k = 0; k < G; ++k) {
          store(dgx.as_mut<T>() + at + k * H, sums + (gru && k == 2 ? 3 : k) * B, n);
          if (gru) store(dgh.as_mut<T>() + at + k * H, sums + k * B, n);
        }
      }
      for (int64_t k = 0; k < G; ++k) panels.put(next, p, k * H + j, a + k * B, n);
    });
    flip(now, next);
  }
  if (!dh0.defined()) return;
  for_blocks(panels, H, work, [&](int64_t p, int64_t j, int64_t n) {
    alignas(64) C d[B];
    panels.multiply(now, p, weight + j * panels.depth, d);
    for (int64_t r = 0; r < panels.rows(p); ++r) {
      const int64_t unit = (panels.first(p) + r) * H + j;
      for (int64_t u = 0; gru && u < n; ++u) d[r * Block<C>::kCols + u] += rest[unit + u];
      store(dh0.as_mut<T>() + unit, d + r * Block<C>::kCols, n);
    }
  });
}

// Forward: [block of units][gate][H][kCols] of the transposed rows; back: [block of units][G H][kCols]. Numbers in twos
// where they are multiplied by pairs: [H / 2][kCols][2].
template <class T> void pack_typed(void* packed, const T* w, int64_t G, int64_t H, bool back) {
  using C = compute_t<T>;
  constexpr int64_t cols = Block<C>::kCols, kPart = 64;
  parallel_for(fn::ceil_div(H, cols), std::max<int64_t>(1, kSerialBelow / (G * H * cols)),
               [&](int64_t begin, int64_t end) {
                 alignas(64) C rows[cols * kPart];
                 for (int64_t block = begin; block < end; ++block) {
                   const int64_t j = block * cols, n = std::min(cols, H - j);
                   C* to = static_cast<C*>(packed) + j * G * H;
                   if (n < cols) zero(to, cols * G * H);
                   for (int64_t row = 0; back && row < G * H; ++row) load(to + row * cols, w + row * H + j, n);
                   for (int64_t gate = 0; !back && gate < G; ++gate) {
                     const T* from = w + (gate * H + j) * H;
                     C* panel = to + gate * H * cols;
                     for (int64_t k = 0; k < H; k += kPart) {
                       const int64_t part = std::min(kPart, H - k);
                       for (int64_t u = 0; u < n; ++u) load(rows + u * kPart, from + u * H + k, part);
                       transpose_2d(panel + k * cols, cols, rows, kPart, part, n, sizeof(C));
                     }
                   }
                 }
               });
}
void pack_pairs(void* packed, const bf16* w, int64_t G, int64_t H, bool back) {
  constexpr int64_t cols = Block<float>::kCols;
  parallel_for(
      fn::ceil_div(H, cols), std::max<int64_t>(1, kSerialBelow / (G * H * cols)), [&](int64_t begin, int64_t end) {
        for (int64_t block = begin; block < end; ++block) {
          const int64_t j = block * cols, n = std::min(cols, H - j);
          auto* to = static_cast<uint16_t*>(packed) + j * G * H;
          if (n < cols) __builtin_memset(to, 0, static_cast<size_t>(cols * G * H) * sizeof(uint16_t));
          const auto twos = [&](uint16_t* panel, const bf16* from, int64_t depth, int64_t step, int64_t across) {
            for (int64_t k = 0; k < depth; ++k)
              for (int64_t u = 0; u < n; ++u) panel[(k / 2 * cols + u) * 2 + k % 2] = from[k * step + u * across].bits;
          };
          if (back) twos(to, w + j, G * H, H, 1);
          for (int64_t gate = 0; !back && gate < G; ++gate) twos(to + gate * H * cols, w + (gate * H + j) * H, H, 1, H);
        }
      });
}

template <class F> void with_kind(RnnKind kind, const F& f) {
  switch (kind) {
    case RnnKind::tanh: return f.template operator()<RnnKind::tanh>();
    case RnnKind::relu: return f.template operator()<RnnKind::relu>();
    case RnnKind::lstm: return f.template operator()<RnnKind::lstm>();
    case RnnKind::gru: return f.template operator()<RnnKind::gru>();
  }
}

bool takes_pairs(Dtype dtype, int64_t H) { return dtype == Dtype::bf16 && H % 2 == 0 && has_dots(); }

/// f.operator()<Pairs>().
template <class T, class F> void with_pairs(bool pairs, const F& f) {
  if constexpr (kMayHaveDots && std::is_same_v<T, bf16>)
    if (pairs) return f.template operator()<true>();
  f.template operator()<false>();
}

size_t packed_bytes(Dtype dtype, int64_t G, int64_t H, bool pairs) {
  size_t bytes = 0;
  with_floating(dtype, [&]<class T> {
    using C = compute_t<T>;
    bytes = static_cast<size_t>(fn::round_up(H, Block<C>::kCols) * G * H) * (pairs ? sizeof(T) : sizeof(C));
  });
  return bytes;
}
void pack(void* packed, const void* w, Dtype dtype, int64_t G, int64_t H, bool back, bool pairs) {
  if (pairs) return pack_pairs(packed, static_cast<const bf16*>(w), G, H, back);
  with_floating(dtype, [&]<class T> { pack_typed(packed, static_cast<const T*>(w), G, H, back); });
}
void forward(const MutTensorRef& y, const MutTensorRef& c, const MutTensorRef& kept, const TensorRef& gx,
             const TensorRef& h0, const void* packed, const TensorRef& bias, RnnKind kind, bool reverse, bool pairs) {
  with_floating(y.dtype, [&]<class T> {
    with_kind(kind, [&]<RnnKind K> {
      with_pairs<T>(pairs, [&]<bool P> { forward_typed<T, K, P>(y, c, kept, gx, h0, packed, bias, reverse); });
    });
  });
}
void backward(const MutTensorRef& dgx, const MutTensorRef& dgh, const MutTensorRef& dh0, const MutTensorRef& dc,
              const TensorRef& g, const TensorRef& y, const TensorRef& kept, const TensorRef& h0, const TensorRef& c0,
              const void* packed, RnnKind kind, bool reverse, bool pairs) {
  with_floating(y.dtype, [&]<class T> {
    with_kind(kind, [&]<RnnKind K> {
      with_pairs<T>(pairs,
                    [&]<bool P> { backward_typed<T, K, P>(dgx, dgh, dh0, dc, g, y, kept, h0, c0, packed, reverse); });
    });
  });
}

}  // namespace

void register_rnn() { rnn_loops = {takes_pairs, packed_bytes, pack, forward, backward}; }

}  // namespace weft::cpu::WEFT_ISA
