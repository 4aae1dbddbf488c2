// Residual encoding, forward and backward, over blocks of features: distances, assignments and what is made of them are
// products of small matrices that stay in the cache. In a block, features lie along the lanes of vectors.
#include <algorithm>

#include "weft/backends/cpu/scratch.h"
#include "weft/backends/cpu/simd/convert.h"
#include "weft/backends/cpu/simd/norm_loops.h"
#include "weft/backends/cpu/simd/put.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/backends/cpu/simd/tile.h"
#include "weft/core/fn/integer.h"
#include "weft/core/fn/math.h"
#include "weft/core/kernels/encoding.h"
#include "weft/core/parallel.h"

namespace weft::cpu::WEFT_ISA {
namespace {

constexpr int64_t kBlockBytes = 128 << 10, kMostFeatures = 128;  // of a block
// that features are cut into, whatever the number of threads: sums keep their order
constexpr int64_t kMostPieces = 32;
constexpr int64_t kSerialWork = 1 << 16;  // multiply-adds

// Not std::fill: its copies would have this instruction set under a name that all files share.
template <class C> void zero(C* p, int64_t n) { __builtin_memset(p, 0, static_cast<size_t>(n) * sizeof(C)); }

/// Sizes, and how far rows of the matrices in scratch memory are apart: an odd number of cache lines where that is
/// long.
template <class C> struct Sizes {
  static constexpr int64_t kCols = Tile<C>::kCols, kLine = Tile<C>::kLanes;
  int64_t B, N, D, K, T;              // T features make a block
  int64_t row_d, row_k, row_t, up_k;  // rows of numbers over D, K, T; K rounded up
  int64_t pieces;                     // of an image

  Sizes(int64_t B, int64_t N, int64_t D, int64_t K) : B(B), N(N), D(D), K(K) {
    const int64_t fit = kBlockBytes / static_cast<int64_t>(sizeof(C)) / std::max(D, K) / kCols * kCols;
    T = std::min(std::clamp(fit, kCols, kMostFeatures), fn::round_up(N, kCols));
    row_d = fn::round_up(D, kCols) + kLine;
    row_t = T + kLine;
    up_k = fn::round_up(K, Tile<C>::kFewRows);
    row_k = fn::round_up(K, kLine);
    pieces = std::clamp<int64_t>(kMostPieces / B, 1, blocks());
  }
  int64_t blocks() const { return fn::ceil_div(N, T); }
  int64_t all_pieces() const { return B * pieces; }
};

/// Hands out parts of one piece of memory.
template <class C> struct Carve {
  C* p;
  C* take(int64_t n) {
    C* r = p;
    p += fn::round_up(n, 64 / static_cast<int64_t>(sizeof(C)));
    return r;
  }
};

/// Codewords measured from their mean: |x - c|^2 does not change when both move together, but the form with products
/// cancels badly where both are far from the origin.
template <class C> struct Codewords {
  C *centre, *rows, *turned, *squares;  // [D]; c: [K][row_d]; -2 c: [D][row_k]; |c|^2
  const C* scale;

  static int64_t size(const Sizes<C>& z) { return z.D + z.K * z.row_d + z.D * z.row_k + z.K + 64; }
  Codewords(Carve<C> m, const Sizes<C>& z, const C* c, const C* scale)
      : centre(m.take(z.D)),
        rows(m.take(z.K * z.row_d)),
        turned(m.take(z.D * z.row_k)),
        squares(m.take(z.K)),
        scale(scale) {
    zero(rows, z.K * z.row_d);
    zero(turned, z.D * z.row_k);
    for (int64_t d = 0; d < z.D; ++d) {
      double sum = 0;
      for (int64_t k = 0; k < z.K; ++k) sum += static_cast<double>(c[k * z.D + d]);
      centre[d] = static_cast<C>(sum / static_cast<double>(z.K));
    }
    for (int64_t k = 0; k < z.K; ++k) {
      double square = 0;
      for (int64_t d = 0; d < z.D; ++d) {
        const C v = c[k * z.D + d] - centre[d];
        rows[k * z.row_d + d] = v;
        turned[d * z.row_k + k] = -2 * v;
        square += static_cast<double>(v) * static_cast<double>(v);
      }
      squares[k] = static_cast<C>(square);
    }
  }
};

// Loops over features are functions of their own: pointers that a lambda captured are read again after every store.
template <class C> void add_squares(C* sum, const C* x, int64_t n) {
#pragma omp simd
  for (int64_t t = 0; t < n; ++t) sum[t] += x[t] * x[t];
}
/// products: -2 x c, becomes |x - c|^2. The logits are rounded here, once: the largest must not differ from itself
/// later.
template <class C> void distances(C* products, C* logits, C* top, const C* x2, C c2, C scale, int64_t n) {
#pragma omp simd
  for (int64_t t = 0; t < n; ++t) {
    C d = x2[t] + c2 + products[t];
    d = d < C(0) ? C(0) : d;  // a NaN stays
    const C l = scale * d;
    products[t] = d;
    logits[t] = l;
    top[t] = l > top[t] ? l : top[t];
  }
}
template <class C> void exponentials(C* logits, C* sum, const C* top, int64_t n) {
#pragma omp simd
  for (int64_t t = 0; t < n; ++t) {
    const C v = fn::exp(logits[t] - top[t]);
    logits[t] = v;
    sum[t] += v;
  }
}
template <class C> C scale_by(C* a, const C* by, int64_t n) {
  C sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t t = 0; t < n; ++t) {
    a[t] *= by[t];
    sum += a[t];
  }
  return sum;
}
/// mean += a (ga - shift)
template <class C> void add_weighted(C* mean, const C* a, C* ga, C shift, int64_t n) {
#pragma omp simd
  for (int64_t t = 0; t < n; ++t) {
    ga[t] -= shift;
    mean[t] += a[t] * ga[t];
  }
}
/// ga becomes 2 scale gl with gl = a (ga - mean), which is added to `over`. Sums gl d2 and what ga became.
template <class C>
void weights(C* ga, C* over, double& scale_grad, double& total, const C* a, const C* d2, const C* mean, C scale,
             int64_t n) {
  C s = 0, w = 0;
#pragma omp simd reduction(+ : s, w)
  for (int64_t t = 0; t < n; ++t) {
    const C gl = a[t] * (ga[t] - mean[t]);
    s += gl * d2[t];
    const C v = 2 * scale * gl;
    ga[t] = v;
    over[t] += v;
    w += v;
  }
  scale_grad += static_cast<double>(s);
  total += static_cast<double>(w);
}

/// Where x is, and how: [B, N, D] of T.
template <class T> struct Features {
  T* p;
  int64_t image, n, d;  // strides
  template <class Ref> Features(T* p, const Ref& x) : p(p), image(x.stride(0)), n(x.stride(1)), d(x.stride(2)) {}
  bool planes() const { return n == 1 && d != 1; }  // features of one channel side by side
};

/// dst = src - shift, one shift for each or one for all
template <class C, class T> void fetch(C* dst, const T* src, int64_t step, const C* shift, int64_t n) {
  if (step == 1) {
#pragma omp simd
    for (int64_t j = 0; j < n; ++j) dst[j] = static_cast<C>(src[j]) - shift[j];
  } else {
    for (int64_t j = 0; j < n; ++j) dst[j] = static_cast<C>(src[j * step]) - shift[j];
  }
}
template <class C, class T> void fetch(C* dst, const T* src, C shift, int64_t n) {
#pragma omp simd
  for (int64_t j = 0; j < n; ++j) dst[j] = static_cast<C>(src[j]) - shift;
}
template <class C, class T> void store(T* dst, int64_t step, const C* src, int64_t n) {
  if (step == 1) {
#pragma omp simd
    for (int64_t j = 0; j < n; ++j) put(dst[j], src[j]);
  } else {
    for (int64_t j = 0; j < n; ++j) put(dst[j * step], src[j]);
  }
}

/// What one thread works with. Padding holds zeros, or numbers that only lead to padding.
template <class C> struct Block {
  const Sizes<C>& z;
  C *rows, *columns;                  // features: [T][row_d] and [D][row_t]
  C *d2, *a, *w;                      // [K][row_t]; w follows upon a
  C* turned;                          // of a or w: [T][row_k]
  C *x2, *top, *sum, *mean, *over;    // [T]
  C *gradients, *turned_gradients;    // g, then -c: [2 K][row_d]; g: [D][row_k]
  C* shifts;                          // <c, g>: [K]
  double *a_sum, *w_sum, *scale_sum;  // over the features of a piece: [K]

  static int64_t size(const Sizes<C>& z) {
    return z.T * z.row_d + fn::round_up(z.D, 16) * z.row_t + (2 * z.up_k + z.K) * z.row_t + z.T * z.row_k +
           5 * z.row_t + 2 * z.K * z.row_d + z.D * z.row_k + z.K +
           3 * z.K * static_cast<int64_t>(sizeof(double) / sizeof(C)) + 16 * 64;
  }
  Block(Carve<C> m, const Sizes<C>& z) : z(z) {
    zero(m.p, size(z));
    rows = m.take(z.T * z.row_d);
    columns = m.take(fn::round_up(z.D, 16) * z.row_t);
    d2 = m.take(z.up_k * z.row_t);
    a = m.take((z.K + z.up_k) * z.row_t);
    w = a + z.K * z.row_t;
    turned = m.take(z.T * z.row_k);
    for (C** p : {&x2, &top, &sum, &mean, &over}) *p = m.take(z.row_t);
    gradients = m.take(2 * z.K * z.row_d);
    turned_gradients = m.take(z.D * z.row_k);
    shifts = m.take(z.K);
    a_sum = reinterpret_cast<double*>(m.take(3 * z.K * static_cast<int64_t>(sizeof(double) / sizeof(C))));
    w_sum = a_sum + z.K;
    scale_sum = w_sum + z.K;
  }

  template <class T> void load(const Features<const T>& x, int64_t b, int64_t first, int64_t n, const C* centre) const {
    const T* p = x.p + b * x.image + first * x.n;
    constexpr int size = static_cast<int>(sizeof(C));
    if (x.planes()) {
      for (int64_t d = 0; d < z.D; ++d) {
        C* column = columns + d * z.row_t;
        fetch(column, p + d * x.d, centre[d], n);
        zero(column + n, z.T - n);
      }
      transpose_2d(rows, z.row_d, columns, z.row_t, z.T, z.D, size);
    } else {
      for (int64_t t = 0; t < n; ++t) fetch(rows + t * z.row_d, p + t * x.n, x.d, centre, z.D);
      zero(rows + n * z.row_d, (z.T - n) * z.row_d);
      transpose_2d(columns, z.row_t, rows, z.row_d, z.D, z.T, size);
    }
  }

  /// d2 and a, which is 0 beyond n features.
  void assign(const Codewords<C>& c, int64_t n) const {
    Tile<C>::multiply_all(z.K, z.T, z.D, c.turned, z.row_k, columns, z.row_t, d2, z.row_t, false);
    for (int64_t t = 0; t < z.T; ++t) x2[t] = sum[t] = C(0), top[t] = fn::lowest<C>();
    for (int64_t d = 0; d < z.D; ++d) add_squares(x2, columns + d * z.row_t, z.T);
    for (int64_t k = 0; k < z.K; ++k)
      distances(d2 + k * z.row_t, a + k * z.row_t, top, x2, c.squares[k], c.scale[k], z.T);
    for (int64_t k = 0; k < z.K; ++k) exponentials(a + k * z.row_t, sum, top, z.T);
    for (int64_t t = 0; t < n; ++t) sum[t] = C(1) / sum[t];
    for (int64_t k = 0; k < z.K; ++k) {
      C* line = a + k * z.row_t;
      a_sum[k] += static_cast<double>(scale_by(line, sum, n));
      zero(line + n, z.T - n);
    }
  }

  /// sums [K][row_d] += line^T x, for lines a or w
  void add_products(C* sums, const C* line) const {
    transpose_2d(turned, z.row_k, line, z.row_t, z.T, z.K, static_cast<int>(sizeof(C)));
    Tile<C>::multiply_all(z.K, z.D, z.T, turned, z.row_k, rows, z.row_d, sums, z.row_d, true);
  }

  /// g: of an image, [K, D].
  template <class T> void take_gradient(const Codewords<C>& c, const T* g) const {
    for (int64_t k = 0; k < z.K; ++k) {
      double shift = 0;
      for (int64_t d = 0; d < z.D; ++d) {
        const C v = static_cast<C>(g[k * z.D + d]), ck = c.rows[k * z.row_d + d];
        gradients[k * z.row_d + d] = turned_gradients[d * z.row_k + k] = v;
        gradients[(z.K + k) * z.row_d + d] = -ck;
        shift += static_cast<double>(v) * static_cast<double>(ck);
      }
      shifts[k] = static_cast<C>(shift);
    }
  }

  /// After assign: w = 2 s a (ga - mean of ga), ga = <g, x - c>.
  void weigh(const Codewords<C>& c) const {
    Tile<C>::multiply_all(z.K, z.T, z.D, turned_gradients, z.row_k, columns, z.row_t, w, z.row_t, false);
    zero(mean, z.T);
    zero(over, z.T);
    for (int64_t k = 0; k < z.K; ++k) add_weighted(mean, a + k * z.row_t, w + k * z.row_t, shifts[k], z.T);
    for (int64_t k = 0; k < z.K; ++k)
      weights(w + k * z.row_t, over, scale_sum[k], w_sum[k], a + k * z.row_t, d2 + k * z.row_t, mean, c.scale[k], z.T);
  }

  /// Writes the gradient of the features; they are gone then.
  template <class T> void write_grad(const Features<T>& x, int64_t b, int64_t first, int64_t n) const {
    T* p = x.p + b * x.image + first * x.n;
    // x sum_k w + a^T g - w^T c, in the order that memory wants
    if (x.planes()) {
      for (int64_t d = 0; d < z.D; ++d) scale_by(columns + d * z.row_t, over, z.T);
      Tile<C>::multiply_all(z.D, z.T, 2 * z.K, gradients, z.row_d, a, z.row_t, columns, z.row_t, true);
      for (int64_t d = 0; d < z.D; ++d) store(p + d * x.d, 1, columns + d * z.row_t, n);
    } else {
      for (int64_t t = 0; t < n; ++t) scale_row(rows + t * z.row_d, over[t], z.D);
      Tile<C>::multiply_all(z.T, z.D, 2 * z.K, a, z.row_t, gradients, z.row_d, rows, z.row_d, true);
      for (int64_t t = 0; t < n; ++t) store(p + t * x.n, x.d, rows + t * z.row_d, z.D);
    }
  }
  static void scale_row(C* row, C by, int64_t n) {
#pragma omp simd
    for (int64_t d = 0; d < n; ++d) row[d] *= by;
  }
};

/// work(block, piece) for all pieces of all images, each on one thread.
template <class C, class Work> void for_pieces(const Sizes<C>& z, const Work& work) {
  const int64_t count = z.all_pieces(),
                threads = z.B * z.N * z.D * z.K < kSerialWork ? 1 : std::min<int64_t>(num_threads(), count);
  const int64_t size = fn::round_up(Block<C>::size(z), 64);
  const Scratch memory(static_cast<size_t>(threads * size) * sizeof(C));
  parallel_for(threads, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const Block<C> block(Carve<C>{memory.as<C>() + i * size}, z);
      for (int64_t piece = count * i / threads; piece < count * (i + 1) / threads; ++piece) {
        zero(block.a_sum, 3 * z.K);
        work(block, piece);
      }
    }
  });
}
/// work(first, n) for all blocks of features of a piece.
template <class C, class Work> void for_blocks(const Sizes<C>& z, int64_t piece, const Work& work) {
  const int64_t i = piece % z.pieces, blocks = z.blocks();
  for (int64_t block = blocks * i / z.pieces; block < blocks * (i + 1) / z.pieces; ++block)
    work(block * z.T, std::min(z.T, z.N - block * z.T));
}

/// to[0..n) = the sum of `count` rows.
template <class T, class C> void merge(T* to, const C* from, int64_t row, int64_t count, int64_t n) {
  for (int64_t d = 0; d < n; ++d) {
    C sum = from[d];
    for (int64_t i = 1; i < count; ++i) sum += from[i * row + d];
    put(to[d], sum);
  }
}

template <class T>
void encode_typed(const MutTensorRef& y, const TensorRef& xr, const TensorRef& codewords, const TensorRef& scale) {
  using C = compute_t<T>;
  const Sizes<C> z(xr.size(0), xr.size(1), xr.size(2), codewords.size(0));
  const Features<const T> x(xr.as<T>(), xr);
  const int64_t part = z.up_k * z.row_d;
  const Scratch memory(static_cast<size_t>(Codewords<C>::size(z)) * sizeof(C)),
      sums(static_cast<size_t>(z.all_pieces() * part) * sizeof(C));
  const Codewords<C> c(Carve<C>{memory.as<C>()}, z, codewords.as<C>(), scale.as<C>());
  for_pieces(z, [&](const Block<C>& block, int64_t piece) {
    C* sum = sums.as<C>() + piece * part;
    zero(sum, part);
    for_blocks(z, piece, [&](int64_t first, int64_t n) {
      block.load(x, piece / z.pieces, first, n, c.centre);
      block.assign(c, n);
      block.add_products(sum, block.a);
    });
    for (int64_t k = 0; k < z.K; ++k)
      for (int64_t d = 0; d < z.D; ++d)
        sum[k * z.row_d + d] -= static_cast<C>(block.a_sum[k]) * c.rows[k * z.row_d + d];
  });
  T* out = y.as_mut<T>();
  for (int64_t b = 0; b < z.B; ++b)
    for (int64_t k = 0; k < z.K; ++k)
      merge(out + (b * z.K + k) * z.D, sums.as<C>() + b * z.pieces * part + k * z.row_d, part, z.pieces, z.D);
}

template <class T>
void backward_typed(const MutTensorRef& x_grad, const MutTensorRef& codewords_grad, const MutTensorRef& scale_grad,
                    const TensorRef& g, const TensorRef& xr, const TensorRef& codewords, const TensorRef& scale) {
  using C = compute_t<T>;
  const Sizes<C> z(xr.size(0), xr.size(1), xr.size(2), codewords.size(0));
  const Features<const T> x(xr.as<T>(), xr);
  const int64_t part = z.up_k * z.row_d, count = z.all_pieces();
  const Scratch memory(static_cast<size_t>(Codewords<C>::size(z)) * sizeof(C)),
      sums(static_cast<size_t>(count * part) * sizeof(C)),
      scale_sums(static_cast<size_t>(count * z.K) * sizeof(double));
  const Codewords<C> c(Carve<C>{memory.as<C>()}, z, codewords.as<C>(), scale.as<C>());
  for_pieces(z, [&](const Block<C>& block, int64_t piece) {
    const int64_t image = piece / z.pieces;
    C* sum = sums.as<C>() + piece * part;
    zero(sum, part);
    block.take_gradient(c, g.as<T>() + image * z.K * z.D);
    for_blocks(z, piece, [&](int64_t first, int64_t n) {
      block.load(x, image, first, n, c.centre);
      block.assign(c, n);
      block.weigh(c);
      if (codewords_grad.defined()) block.add_products(sum, block.w);
      if (x_grad.defined()) block.write_grad(Features<T>(x_grad.as_mut<T>(), x_grad), image, first, n);
    });
    for (int64_t k = 0; k < z.K; ++k) {
      const C over_a = static_cast<C>(block.a_sum[k]), over_w = static_cast<C>(block.w_sum[k]);
      const C* gk = block.gradients + k * z.row_d;
      const C* ck = c.rows + k * z.row_d;
      C* s = sum + k * z.row_d;
      for (int64_t d = 0; d < z.D; ++d) s[d] = over_w * ck[d] - over_a * gk[d] - s[d];
      scale_sums.as<double>()[piece * z.K + k] = block.scale_sum[k];
    }
  });
  if (codewords_grad.defined())
    for (int64_t k = 0; k < z.K; ++k)
      merge(codewords_grad.as_mut<C>() + k * z.D, sums.as<C>() + k * z.row_d, part, count, z.D);
  if (scale_grad.defined()) merge(scale_grad.as_mut<C>(), scale_sums.as<double>(), z.K, count, z.K);
}

void encode_kernel(const MutTensorRef& y, const TensorRef& x, const TensorRef& codewords, const TensorRef& scale) {
  with_floating(x.dtype, [&]<class T> { encode_typed<T>(y, x, codewords, scale); });
}
void encode_backward_kernel(const MutTensorRef& x_grad, const MutTensorRef& codewords_grad,
                            const MutTensorRef& scale_grad, const TensorRef& g, const TensorRef& x,
                            const TensorRef& codewords, const TensorRef& scale) {
  with_floating(x.dtype,
                [&]<class T> { backward_typed<T>(x_grad, codewords_grad, scale_grad, g, x, codewords, scale); });
}

}  // namespace

void register_encoding() {
  kernels::encode.set(DeviceType::cpu, encode_kernel);
  kernels::encode_backward.set(DeviceType::cpu, encode_backward_kernel);
}

}  // namespace weft::cpu::WEFT_ISA
