// Reductions over any axes. A functor is compiled as a few loops per compute type; the walk over axes, the conversion
// of
// dtypes and the order of merging are shared. Partial results are merged pairwise and in an order that depends on the
// shape alone: rounding errors grow with the logarithm of the count, and threads do not change the result.
// Sums of f32 are kept in f32 for a few elements and in f64 from there on; what f32 cannot hold is summed again in f64.
#include <limits>

#include "weft/backends/cpu/scratch.h"
#include "weft/backends/cpu/simd/convert.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/core/fn/axes.h"
#include "weft/core/kernels.h"
#include "weft/core/parallel.h"

namespace weft::cpu::WEFT_ISA {
namespace {

struct ReduceLoops {
  Dtype acc;  // of an accumulator
  void (*init)(const void* f, void* acc, int64_t n) = nullptr;
  void (*fold)(const void* f, void* acc, const void* x, int64_t n) = nullptr;  // acc[0] = all of x
  void (*step)(const void* f, void* acc, const void* x, int64_t n) = nullptr;  // acc[i] takes x[i]
  void (*merge)(const void* f, void* acc, const void* other, int64_t n) = nullptr;
  void (*finish)(const void* f, void* acc, int64_t n) = nullptr;
  // Where accumulators are wider than x: some rows in x's type, which absorb() adds to acc if they can be trusted.
  void (*init_short)(const void* f, void* line, int64_t n) = nullptr;
  void (*step_short)(const void* f, void* line, const void* x, int64_t n) = nullptr;
  bool (*absorb)(const void* f, void* acc, const void* line, int64_t n) = nullptr;
};

/// Functors that add, and may: f64 accumulators take what f32 would lose or overflow.
template <class F> inline constexpr bool kPowers = std::is_base_of_v<fn::Norm2, F> || std::is_same_v<F, fn::NormP>;
template <class F>
inline constexpr bool kAdds = std::is_base_of_v<fn::Sum, F> || std::is_same_v<F, fn::Mean> ||
                              std::is_same_v<F, fn::SumAbs> || kPowers<F>;
template <class F> inline constexpr bool kWidens = kAdds<F> || std::is_same_v<F, fn::Prod>;

/// Is a sum that was made in f32 the one that f64 would have given, but for rounding? No after an overflow, nor where
/// powers may have been too small for f32.
template <class F> WEFT_INLINE bool trusted(float sum) {
  constexpr float most = std::numeric_limits<float>::max();
  return kPowers<F> ? sum >= 1e-30f && sum <= most : sum >= -most && sum <= most;
}

/// Accumulator type A, elements of type C: several lanes, merged in pairs; what does not fill them is left.
template <class F, class A, class C> A fold_lanes(const F& f, const C* x, int64_t n, int64_t& done) {
  constexpr int kLanes = 256 / sizeof(A) < 64 ? 256 / sizeof(A) : 64;
  A total = f.template init<A>();
  done = 0;
  if (n < 2 * kLanes) return total;
  A lanes[kLanes];
  for (int j = 0; j < kLanes; ++j) lanes[j] = total;
  for (; done + kLanes <= n; done += kLanes) {
    const C* p = x + done;
#pragma omp simd
    for (int j = 0; j < kLanes; ++j) lanes[j] = f.template step<A>(lanes[j], static_cast<A>(p[j]));
  }
  for (int w = kLanes / 2; w; w /= 2)
    for (int j = 0; j < w; ++j) lanes[j] = f.template merge<A>(lanes[j], lanes[j + w]);
  return lanes[0];
}
template <class F, class A, class C> A fold_all(const F& f, const C* x, int64_t n) {
  int64_t i = 0;
  A total = fold_lanes<F, A, C>(f, x, n, i);
  for (; i < n; ++i) total = f.template step<A>(total, static_cast<A>(x[i]));
  return total;
}

/// Accumulator type A, elements of type C.
template <class F, class C, class A = C> struct LoopsOf {
  static void init(const void* functor, void* acc, int64_t n) {
    const A v = static_cast<const F*>(functor)->template init<A>();
    for (int64_t i = 0; i < n; ++i) static_cast<A*>(acc)[i] = v;
  }
  static void fold(const void* functor, void* acc, const void* in, int64_t n) {
    const F f = *static_cast<const F*>(functor);
    *static_cast<A*>(acc) = fold_all<F, A, C>(f, static_cast<const C*>(in), n);
  }
  static void step(const void* functor, void* acc, const void* in, int64_t n) {
    const F f = *static_cast<const F*>(functor);
    A* a = static_cast<A*>(acc);
    const C* x = static_cast<const C*>(in);
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) a[i] = f.template step<A>(a[i], static_cast<A>(x[i]));
  }
  static void merge(const void* functor, void* acc, const void* other, int64_t n) {
    const F f = *static_cast<const F*>(functor);
    A* a = static_cast<A*>(acc);
    const A* b = static_cast<const A*>(other);
    for (int64_t i = 0; i < n; ++i) a[i] = f.template merge<A>(a[i], b[i]);
  }
  static void finish(const void* functor, void* acc, int64_t n) {
    const F f = *static_cast<const F*>(functor);
    A* a = static_cast<A*>(acc);
    for (int64_t i = 0; i < n; ++i) a[i] = f.template finish<A>(a[i]);
  }
  static constexpr ReduceLoops loops{dtype_v<A>, init, fold, step, merge, finish};
};

/// Sums of f32 that begin in f32.
template <class F> struct MixedLoops : LoopsOf<F, float, double> {
  using Short = LoopsOf<F, float>;
  static constexpr int64_t kShort = 1024;  // elements that the lanes take in f32

  static void fold(const void* functor, void* acc, const void* in, int64_t n) {
    const F f = *static_cast<const F*>(functor);
    const float* x = static_cast<const float*>(in);
    double total = f.template init<double>();
    for (int64_t at = 0; at < n;) {
      const int64_t m = n - at < kShort ? n - at : kShort;
      int64_t done = 0;
      const float sum = fold_lanes<F, float, float>(f, x + at, m, done);
      if (done > 0)
        total = f.template merge<double>(
            total, trusted<F>(sum) ? static_cast<double>(sum) : fold_all<F, double, float>(f, x + at, done));
      int64_t i = at + done;
      if constexpr (!std::is_same_v<F, fn::NormP>) {  // short ones: lanes of f64
        constexpr int kLanes = 8;
        double lanes[kLanes] = {};
        for (; i + kLanes <= at + m; i += kLanes)
#pragma omp simd
          for (int j = 0; j < kLanes; ++j) lanes[j] = f.template step<double>(lanes[j], static_cast<double>(x[i + j]));
        for (int j = 0; j < kLanes / 2; ++j) lanes[j] = f.template merge<double>(lanes[j], lanes[j + kLanes / 2]);
        total += (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
      }
      for (; i < at + m; ++i) {
        if constexpr (std::is_same_v<F, fn::NormP>) {  // powers of f64 take long
          const float term = f.template step<float>(0, x[i]);
          if (trusted<F>(term)) {
            total += static_cast<double>(term);
            continue;
          }
        }
        total = f.template step<double>(total, static_cast<double>(x[i]));
      }
      at += m;
    }
    *static_cast<double*>(acc) = total;
  }
  static bool absorb(const void* functor, void* acc, const void* line, int64_t n) {
    const F f = *static_cast<const F*>(functor);
    double* a = static_cast<double*>(acc);
    const float* x = static_cast<const float*>(line);
    int bad = 0;
#pragma omp simd reduction(| : bad)
    for (int64_t i = 0; i < n; ++i) bad |= !trusted<F>(x[i]);
    if (bad) return false;
    for (int64_t i = 0; i < n; ++i) a[i] = f.template merge<double>(a[i], static_cast<double>(x[i]));
    return true;
  }
  using Wide = LoopsOf<F, float, double>;
  static constexpr ReduceLoops loops{Dtype::f64,   Wide::init,  fold,        Wide::step, Wide::merge,
                                     Wide::finish, Short::init, Short::step, absorb};
};

constexpr int64_t kChunk = 2048;   // elements that one fold takes
constexpr int64_t kColumns = 512;  // columns that are reduced together
constexpr int kLevels = 32;
constexpr int64_t kGroups = 64;  // parts of one result, at most

struct Reducer {
  const ReduceLoops& loops;
  const void* f;
  Dtype c, x_dtype, out_dtype;
  const char* x;
  char* out;
  fn::Axes<2> kept;                // of x and out
  fn::Axes<1> reduced;             // of x
  int64_t size, x_size, out_size;  // size: of an accumulator

  const char* at(int64_t offset) const { return x + offset * x_size; }
  void store(int64_t offset, int64_t stride, void* acc, int64_t n) const {
    loops.finish(f, acc, n);
    convert(out + offset * out_size, stride, out_dtype, acc, 1, loops.acc, n);
  }

  // ---- Rows: the fastest axis of x is reduced.

  int64_t run() const { return reduced.shape[reduced.rank - 1]; }
  int64_t per_run() const { return fn::ceil_div(run(), kChunk); }  // chunks, or
  int64_t runs_per_chunk() const { return run() >= kChunk / 2 ? 1 : kChunk / run(); }
  int64_t chunks() const {
    const int64_t runs = reduced.count() / run();
    return runs_per_chunk() == 1 ? runs * per_run() : fn::ceil_div(runs, runs_per_chunk());
  }
  void chunk(int64_t base, int64_t number, void* acc) const {
    alignas(64) unsigned char buffer[kChunk * 8], raw[kChunk * 8];
    const int last = reduced.rank - 1;
    const int64_t stride = reduced.strides[0][last], runs = reduced.count() / run();
    if (runs_per_chunk() == 1) {
      const int64_t begin = number % per_run() * kChunk, n = run() - begin < kChunk ? run() - begin : kChunk;
      const char* p = at(base + reduced.offset(number / per_run(), last) + begin * stride);
      if (stride == 1 && x_dtype == c) return loops.fold(f, acc, p, n);
      convert(buffer, 1, c, p, stride, x_dtype, n);
      return loops.fold(f, acc, buffer, n);
    }
    const int64_t first = number * runs_per_chunk(),
                  count = runs - first < runs_per_chunk() ? runs - first : runs_per_chunk();
    if (count == 1 && stride == 1 && x_dtype == c)
      return loops.fold(f, acc, at(base + reduced.offset(first, last)), run());
    char* to = reinterpret_cast<char*>(x_dtype == c ? buffer : raw);
    for (int64_t r = first; r < first + count;) {
      // stretches along the next axis
      const int64_t rest = last ? reduced.shape[last - 1] - r % reduced.shape[last - 1] : 1;
      const int64_t n = first + count - r < rest ? first + count - r : rest;
      move_2d(to, run(), 1, at(base + reduced.offset(r, last)), last ? reduced.strides[0][last - 1] : 0, stride, n,
              run(), static_cast<int>(x_size));
      to += n * run() * x_size;
      r += n;
    }
    if (x_dtype != c) convert(buffer, 1, c, raw, 1, x_dtype, count * run());
    loops.fold(f, acc, buffer, count * run());
  }
  /// acc = chunks [begin, end), merged in pairs like a binary counter.
  void chunk_range(int64_t base, int64_t begin, int64_t end, void* acc) const {
    alignas(8) unsigned char stack[kLevels][8];
    int depth = 0;
    for (int64_t i = begin; i < end; ++i) {
      chunk(base, i, stack[depth++]);
      for (int64_t k = i - begin + 1; k % 2 == 0; k /= 2, --depth)
        loops.merge(f, stack[depth - 2], stack[depth - 1], 1);
    }
    for (; depth > 1; --depth) loops.merge(f, stack[depth - 2], stack[depth - 1], 1);
    __builtin_memcpy(acc, stack[0], static_cast<size_t>(size));
  }
  void rows() const {
    const int64_t outputs = kept.count(), per_output = reduced.count(), parts = chunks();
    const int64_t groups = parts < kGroups ? parts : kGroups;
    if (outputs >= 16 || groups == 1) {
      parallel_for(outputs, kSerialBelow / (per_output + 1) + 1, [&](int64_t begin, int64_t end) {
        for (int64_t o = begin; o < end; ++o) {
          alignas(8) unsigned char acc[8];
          int64_t place[2];
          kept.offsets(o, place);
          chunk_range(place[0], 0, parts, acc);
          store(place[1], 1, acc, 1);
        }
      });
      return;
    }
    alignas(64) unsigned char partial[16 * kGroups][8];
    parallel_for(outputs * groups, kSerialBelow * groups / (per_output + 1) + 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        int64_t place[2];
        kept.offsets(i / groups, place);
        const int64_t g = i % groups;
        chunk_range(place[0], parts * g / groups, parts * (g + 1) / groups, partial[i]);
      }
    });
    for (int64_t o = 0; o < outputs; ++o) {
      int64_t place[2];
      kept.offsets(o, place);
      for (int64_t w = 1; w < groups; w *= 2)
        for (int64_t g = 0; g + w < groups; g += 2 * w)
          loops.merge(f, partial[o * groups + g], partial[o * groups + g + w], 1);
      store(place[1], 1, partial[o * groups], 1);
    }
  }

  // ---- Columns: the fastest axis of x stays.

  /// Columns at `base` that are reduced together: `wide` rows that follow each other are taken at once.
  struct Band {
    int64_t base, stride, width, wide;
  };
  /// Rows [r, stop) enter `to`.
  void step_rows(void (*step)(const void*, void*, const void*, int64_t), char* to, const Band& b, int64_t r,
                 int64_t stop, char* converted) const {
    const int last = reduced.rank - 1;
    const int64_t length = reduced.shape[last], between = reduced.strides[0][last];
    while (r < stop) {
      int64_t offset = b.base + reduced.offset(r, reduced.rank);
      const int64_t rest = length - r % length;
      int64_t n = stop - r < rest ? stop - r : rest;
      r += n;
      for (; n > 0;) {
        const int64_t take = n < b.wide ? n : b.wide;
        const char* p = at(offset);
        if (b.stride != 1 || x_dtype != c) {
          convert(converted, 1, c, p, b.stride, x_dtype, b.width * take);
          p = converted;
        }
        step(f, to, p, b.width * take);
        offset += between * take;
        n -= take;
      }
    }
  }
  /// acc[0, width) = rows [begin, end) of the columns at `base`.
  void column_range(int64_t base, int64_t stride, int64_t width, int64_t begin, int64_t end, void* acc) const {
    alignas(64) char buffer[(kLevels + 1) * kColumns * 8];  // partial lines, and one converted
    const int last = reduced.rank - 1;
    const int64_t line = kColumns * 8;
    char* converted = buffer + kLevels * line;
    const bool beside = stride == 1 && reduced.strides[0][last] == width && width <= kColumns / 8;
    const Band band{base, stride, width, beside ? kColumns / width : 1};
    const int64_t all = width * band.wide;
    if (loops.absorb) {
      constexpr int64_t kShortRows = 16;
      char* some = buffer + line;
      loops.init(f, buffer, all);
      for (int64_t r = begin, stop; r < end; r = stop) {
        stop = end - r < kShortRows * band.wide ? end : r + kShortRows * band.wide;
        loops.init_short(f, some, all);
        step_rows(loops.step_short, some, band, r, stop, converted);
        if (!loops.absorb(f, buffer, some, all)) step_rows(loops.step, buffer, band, r, stop, converted);
      }
    } else {
      constexpr int64_t kRows = 64;  // stepped into one line before it is merged
      int depth = 0;
      for (int64_t r = begin, number = 1, stop; r < end; r = stop, ++number) {
        stop = end - r < kRows * band.wide ? end : r + kRows * band.wide;
        char* to = buffer + depth++ * line;
        loops.init(f, to, all);
        step_rows(loops.step, to, band, r, stop, converted);
        for (int64_t k = number; k % 2 == 0; k /= 2, --depth)
          loops.merge(f, buffer + (depth - 2) * line, buffer + (depth - 1) * line, all);
      }
      for (; depth > 1; --depth) loops.merge(f, buffer + (depth - 2) * line, buffer + (depth - 1) * line, all);
      if (begin == end) loops.init(f, buffer, all);
    }
    for (int64_t g = 1; g < band.wide; ++g) loops.merge(f, buffer, buffer + g * width * size, width);
    __builtin_memcpy(acc, buffer, static_cast<size_t>(width * size));
  }
  void columns() const {
    const int last = kept.rank - 1;
    const int64_t length = kept.shape[last], stride = kept.strides[0][last], out_stride = kept.strides[1][last];
    const int64_t blocks = fn::ceil_div(length, kColumns), lines = kept.count() / length, units = lines * blocks;
    const int64_t rows = reduced.count(), width = length < kColumns ? length : kColumns;
    auto locate = [&](int64_t unit, int64_t& base, int64_t& to, int64_t& n) {
      int64_t line[2];
      kept.offsets(unit / blocks, line, last);
      const int64_t first = unit % blocks * kColumns;
      base = line[0] + first * stride;
      to = line[1] + first * out_stride;
      n = length - first < kColumns ? length - first : kColumns;
    };
    int64_t groups = rows * width / kSerialBelow;
    groups = units >= 16 || groups < 2 ? 1 : groups < kGroups ? groups : kGroups;
    if (groups == 1) {
      parallel_for(units, kSerialBelow / (rows * width + 1) + 1, [&](int64_t begin, int64_t end) {
        alignas(64) unsigned char acc[kColumns * 8];
        for (int64_t u = begin; u < end; ++u) {
          int64_t base, to, n;
          locate(u, base, to, n);
          column_range(base, stride, n, 0, rows, acc);
          store(to, out_stride, acc, n);
        }
      });
      return;
    }
    const Scratch partial(static_cast<size_t>(units * groups * kColumns * 8));
    auto part = [&](int64_t i) { return partial.as<char>() + i * kColumns * 8; };
    parallel_for(units * groups, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        int64_t base, to, n;
        locate(i / groups, base, to, n);
        const int64_t g = i % groups;
        column_range(base, stride, n, rows * g / groups, rows * (g + 1) / groups, part(i));
      }
    });
    for (int64_t u = 0; u < units; ++u) {
      int64_t base, to, n;
      locate(u, base, to, n);
      for (int64_t w = 1; w < groups; w *= 2)
        for (int64_t g = 0; g + w < groups; g += 2 * w)
          loops.merge(f, part(u * groups + g), part(u * groups + g + w), n);
      store(to, out_stride, part(u * groups), n);
    }
  }
};

void run_reduction(const ReduceLoops& loops, const void* f, Dtype c, const MutTensorRef& out, const TensorRef& x,
                   uint32_t dims) {
  if (out.numel == 0) return;
  Reducer r{loops,
            f,
            c,
            x.dtype,
            out.dtype,
            static_cast<const char*>(x.data),
            static_cast<char*>(out.mut),
            {},
            {},
            static_cast<int64_t>(itemsize(loops.acc)),
            static_cast<int64_t>(itemsize(x.dtype)),
            static_cast<int64_t>(itemsize(out.dtype))};
  if (x.numel == 0) {  // the neutral element everywhere
    alignas(8) unsigned char acc[8];
    loops.init(f, acc, 1);
    loops.finish(f, acc, 1);
    for (int i = 0; i < out.rank; ++i) r.kept.append(out.shape[i], {0, out.strides[i]});
    for (int64_t o = 0; o < out.numel; ++o) {
      int64_t place[2];
      r.kept.offsets(o, place);
      convert(r.out + place[1] * r.out_size, 1, out.dtype, acc, 1, loops.acc, 1);
    }
    return;
  }
  int order[kMaxRank];
  const int n = fn::memory_order(order, x.strides, x.rank);
  for (int k = 0; k < n; ++k) {
    const int i = order[k];
    if (dims >> i & 1) r.reduced.append(x.shape[i], {x.strides[i]});
    else r.kept.append(x.shape[i], {x.strides[i], out.strides[i]});
  }
  r.reduced.at_least_one(0);
  const bool columns = r.kept.rank > 0 && (r.reduced.inner(0) == 0 || r.kept.inner(0) < r.reduced.inner(0));
  if (columns) r.columns();
  else r.rows();
}

template <class F> void reduce_kernel(const MutTensorRef& out, const TensorRef& x, uint32_t dims, const void* functor) {
  // predicates look at x as it is; the others compute in the result's dtype
  Dtype c = compute_dtype(fn::Predicate<F> ? x.dtype : out.dtype);
  const ReduceLoops* loops = nullptr;
  switch (c) {
    case Dtype::f32:
      if constexpr (kAdds<F>) loops = &MixedLoops<F>::loops;
      else if constexpr (kWidens<F>) loops = &LoopsOf<F, float, double>::loops;
      else loops = &LoopsOf<F, float>::loops;
      break;
    case Dtype::f64:
      loops = &LoopsOf<F, double>::loops;
      if constexpr (kWidens<F>)
        if (is_floating(x.dtype) && x.dtype != Dtype::f64) loops = &LoopsOf<F, float, double>::loops, c = Dtype::f32;
      break;
    default: break;
  }
  if constexpr (F::domain != fn::Domain::floating) {
    if (c == Dtype::i64) loops = &LoopsOf<F, int64_t>::loops;
    if (c == Dtype::i32) loops = &LoopsOf<F, int32_t>::loops;
    if (c == Dtype::u8) loops = &LoopsOf<F, uint8_t>::loops;
  }
  if constexpr (F::domain == fn::Domain::all)
    if (c == Dtype::boolean) loops = &LoopsOf<F, bool>::loops;
  constexpr DtypeSet takes = fn::dtypes_of<F>();
  if (!loops) weft::detail::bad_dtype(fn::Predicate<F> ? x.dtype : out.dtype, F::name, takes);
  run_reduction(*loops, functor, c, out, x, dims);
}

}  // namespace

void register_reduce() {
  fn::ReduceOps::for_each([]<class F> { kernels::reduce.of<F>().set(DeviceType::cpu, reduce_kernel<F>); });
}

}  // namespace weft::cpu::WEFT_ISA
