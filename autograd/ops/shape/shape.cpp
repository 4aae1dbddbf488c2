#include "weft/autograd/ops/shape/shape.h"

#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/shape/pieces.h"
#include "weft/autograd/record.h"
#include "weft/core/factory.h"
#include "weft/core/fn/axes.h"
#include "weft/core/kernels.h"

namespace weft {

Tensor detail::empty_ordered(const Shape& shape, Dtype dtype, const Tensor& x) {
  const TensorOptions o(dtype, x.device());
  if (x.is_contiguous() || x.rank() != shape.size()) return empty(shape, o);
  if (x.is_channels_last()) return empty(shape, o, MemoryFormat::channels_last);
  for (int i = 0; i < x.rank(); ++i)
    if (x.strides()[i] == 0 && x.shape()[i] > 1) return empty(shape, o);  // expanded: no order of its own
  int order[kMaxRank];
  fn::memory_order(order, x.strides().data(), x.rank());
  Strides strides = Shape::filled(shape.size(), 1);
  int64_t step = 1;
  for (int k = x.rank() - 1; k >= 0; --k) {
    strides[order[k]] = step;
    step *= std::max<int64_t>(shape[order[k]], 1);
  }
  return empty_strided(shape, strides, o);
}

Tensor detail::dense_ordered(const Tensor& x) {
  if (x.is_dense()) return x.detach();
  Tensor y = empty_ordered(x.shape(), x.dtype(), x);
  kernels::copy(x.device(), mut_ref(y), ref(x));
  return y;
}

Tensor cat(const std::vector<Tensor>& tensors, Int dim) {
  const OpName op("cat");
  WEFT_CHECK(!tensors.empty(), ValueError, "the list of tensors is empty");
  // [0] is skipped whatever the rank of the others: what a loop appends to at first
  auto skipped = [](const Tensor& t) { return t.rank() == 1 && t.numel() == 0; };
  const Tensor* first = &tensors[0];
  for (const Tensor& t : tensors) {
    if (skipped(*first)) first = &t;
  }
  const int d = wrap_dim(op, dim, first->rank());
  WEFT_CHECK(first->rank() > 0, ShapeError, "tensors of rank 0 cannot be joined; use stack");
  Shape shape = first->shape();
  shape[d] = 0;
  Dtype dtype = tensors[0].dtype();
  const Tensor* like = nullptr;  // the first whose layout is not both contiguous and channels-last
  for (size_t k = 0; k < tensors.size(); ++k) {
    const Tensor& t = tensors[k];
    dtype = promote(dtype, t.dtype());
    WEFT_CHECK(t.device() == first->device(), DeviceError, "tensor ", k, " is on ", t.device(), ", the others on ",
               first->device());
    if (skipped(t)) continue;
    bool fits = t.rank() == shape.size();
    for (int i = 0; fits && i < shape.size(); ++i) fits = i == d || t.shape()[i] == shape[i];
    WEFT_CHECK(fits, ShapeError, "tensor ", k, " is ", t.shape(), ", tensor 0 is ", first->shape(),
               "; they may differ along axis ", d, " only");
    shape[d] += t.shape()[d];
    if (!like && !(t.is_contiguous() && t.is_channels_last())) like = &t;
  }
  std::vector<Tensor> inputs;
  inputs.reserve(tensors.size());
  SmallVec<TensorRef, 8> refs;
  for (const Tensor& t : tensors) {
    inputs.push_back(t.to(dtype));
    if (!skipped(t)) refs.push_back(ref(inputs.back()));
  }
  Tensor y = detail::empty_ordered(shape, dtype, like ? *like : *first);
  kernels::cat(y.device(), mut_ref(y), refs.data(), refs.size(), d);
  SmallVec<int64_t, 8> sizes;
  for (const Tensor& t : tensors) sizes.push_back(skipped(t) ? -1 : t.shape()[d]);
  return record(op, y, inputs, [d, sizes = std::move(sizes)](BackwardCtx& c) -> Grads {
    Grads grads(sizes.size());
    int64_t at = 0;
    for (int k = 0; k < sizes.size(); ++k) {
      if (sizes[k] < 0) {
        grads[k] = zeros({0}, c.grad().options());
        continue;
      }
      if (c.needs(k)) grads[k] = c.grad().narrow(d, at, sizes[k]);
      at += sizes[k];
    }
    return grads;
  });
}

Tensor stack(const std::vector<Tensor>& tensors, Int dim) {
  const OpName op("stack");
  WEFT_CHECK(!tensors.empty(), ValueError, "the list of tensors is empty");
  const int d = wrap_dim(op, dim, tensors[0].rank() + 1);
  std::vector<Tensor> raised;
  raised.reserve(tensors.size());
  for (size_t k = 0; k < tensors.size(); ++k) {
    WEFT_CHECK(tensors[k].shape() == tensors[0].shape(), ShapeError, "tensor ", k, " is ", tensors[k].shape(),
               ", tensor 0 is ", tensors[0].shape(), "; all shapes must agree");
    raised.push_back(tensors[k].unsqueeze(d));
  }
  return cat(raised, d);
}

std::vector<Tensor> unbind(const Tensor& x, Int dim_in) {
  const OpName op("unbind");
  WEFT_CHECK(x.rank(op) > 0, ShapeError, "needs an axis, got rank 0");
  const int dim = wrap_dim(op, dim_in, x.rank());
  detail::check_pieces(x.size(dim));
  const Tensor at = x.detach();
  std::vector<Tensor> slices;
  for (int64_t i = 0; i < x.size(dim); ++i) slices.push_back(at.select(dim, i));
  if (slices.empty()) return slices;
  return record_n(op, std::move(slices), {x}, [dim, n = x.size(dim)](BackwardCtx& c) -> Grads {
    std::vector<Tensor> g;
    for (int64_t i = 0; i < n; ++i) g.push_back(c.grad(static_cast<int>(i)));
    return {stack(g, dim)};
  });
}

Tensor flip(const Tensor& x, const Shape& dims) {
  const OpName op("flip");
  Strides strides = x.strides();
  int64_t last = 0;
  uint32_t seen = 0;
  for (int64_t dim : dims) {
    const int d = wrap_dim(op, dim, x.rank());
    WEFT_CHECK(!(seen >> d & 1), ValueError, "dim ", d, " stands twice in ", dims);
    seen |= 1u << d;
    if (x.rank() == 0) continue;
    last += (x.shape()[d] - 1) * strides[d];
    strides[d] = -strides[d];
  }
  Tensor y = empty_like(x);
  if (x.numel() > 0) {
    // read backwards from the last element
    kernels::copy(x.device(), mut_ref(y), seen_as(ref(x), x.shape().data(), strides.data(), x.rank(), last));
  }
  return record(op, y, {x}, [dims](BackwardCtx& c) -> Grads { return {flip(c.grad(), dims)}; });
}

Tensor roll(const Tensor& x, const Shape& shifts, const Shape& dims) {
  const OpName op("roll");
  WEFT_CHECK(shifts.size() == dims.size(), ShapeError, shifts.size(), " shifts for ", dims.size(), " dims");
  Tensor y = x;
  for (int k = 0; k < dims.size(); ++k) {
    WEFT_CHECK(x.rank() > 0, ShapeError, "a rank-0 tensor has no dim ", dims[k]);
    const int d = wrap_dim(op, dims[k], x.rank());
    const int64_t n = x.shape()[d];
    if (n == 0) continue;
    const int64_t shift = (shifts[k] % n + n) % n;
    if (shift != 0) y = cat({y.narrow(d, n - shift, shift), y.narrow(d, 0, n - shift)}, d);
  }
  return y.is_same(x) ? x.clone() : y;
}

Tensor roll(const Tensor& x, Int shift) {
  const OpName op("roll");
  return roll(x.flatten(), {shift}, {0}).reshape(x.shape());
}

Tensor repeat(const Tensor& x, const Shape& repeats) {
  const OpName op("repeat");
  const int extra = repeats.size() - x.rank();
  WEFT_CHECK(extra >= 0, ShapeError, repeats, " has fewer entries than ", x.shape(), " has dimensions");
  // an axis in front of each repeated one, expanded
  Shape split, grown, shape;
  for (int i = 0; i < repeats.size(); ++i) {
    const int64_t r = repeats[i], n = i < extra ? 1 : x.shape()[i - extra];
    WEFT_CHECK(r >= 0, ValueError, "negative number of repeats in ", repeats);
    int64_t size = 0;
    WEFT_CHECK(!__builtin_mul_overflow(r, n, &size), ShapeError, repeats, " times ", x.shape(),
               " has too many elements");
    shape.push_back(size);
    if (r != 1 && n != 1) {
      split.push_back(1);
      grown.push_back(r);
      split.push_back(n);
      grown.push_back(n);
    } else {
      split.push_back(n);
      grown.push_back(size);
    }
  }
  (void)checked_numel(op, shape);
  if (grown == split) return x.reshape(shape).clone();
  return x.reshape(split).expand(grown).reshape(shape).contiguous();
}

Tensor tile(const Tensor& x, const Shape& dims) {
  const OpName op("tile");
  Shape repeats = dims;
  while (repeats.size() < x.rank()) repeats.insert(0, 1);
  return repeat(x, repeats);
}

Tensor repeat_interleave(const Tensor& x, Int repeats, Int dim) {
  const OpName op("repeat_interleave");
  WEFT_CHECK(repeats >= 0, ValueError, "negative number of repeats ", repeats);
  if (x.rank() == 0) return repeat_interleave(x.reshape({1}), repeats, dim);
  const int d = wrap_dim(op, dim, x.rank());
  Shape grown = x.shape(), shape = x.shape();
  grown.insert(d + 1, repeats);
  (void)checked_numel(op, grown);
  shape[d] *= repeats;
  return x.unsqueeze(d + 1).expand(grown).reshape(shape).contiguous();
}

Tensor repeat_interleave(const Tensor& x, Int repeats) {
  const OpName op("repeat_interleave");
  return repeat_interleave(x.flatten(), repeats, 0);
}

Tensor repeat_interleave(const Tensor& x, const Tensor& repeats, Int dim) {
  const OpName op("repeat_interleave");
  const int d = wrap_dim(op, dim, x.rank());
  const int64_t n = x.rank() ? x.shape()[d] : 1;
  WEFT_CHECK(!repeats.is_floating() && repeats.rank() <= 1 && (repeats.numel() == n || repeats.numel() == 1),
             ShapeError, "repeats is ", repeats.dtype(), " ", repeats.shape(), " for axis ", d, " of size ", n);
  const std::vector<int64_t> times = repeats.to_vector<int64_t>();
  auto count = [&](int64_t i) { return times[times.size() == 1 ? 0 : static_cast<size_t>(i)]; };
  int64_t total = 0;
  for (int64_t i = 0; i < n; ++i) {
    WEFT_CHECK(count(i) >= 0, ValueError, "negative number of repeats ", count(i));
    WEFT_CHECK(!__builtin_add_overflow(total, count(i), &total), ShapeError, "the repeats add up to too many elements");
  }
  Tensor at = empty({total}, Dtype::i64);
  auto* p = at.mut_data<int64_t>();
  for (int64_t i = 0; i < n; ++i) p = std::fill_n(p, count(i), i);
  return index_select(x, d, at.to(x.device()));
}

std::vector<Tensor> meshgrid(const std::vector<Tensor>& tensors, Choice<MeshIndexing> indexing) {
  const OpName op("meshgrid");
  WEFT_CHECK(!tensors.empty(), ValueError, "the list of tensors is empty");
  Shape shape;
  for (const Tensor& t : tensors) {
    WEFT_CHECK(t.rank() <= 1, ShapeError, "expects tensors of rank 0 or 1, got ", t.shape());
    shape.push_back(t.numel());
  }
  const int n = shape.size();
  const bool swap = indexing == MeshIndexing::xy && n >= 2;
  if (swap) std::swap(shape[0], shape[1]);
  std::vector<Tensor> grids;
  for (int k = 0; k < n; ++k) {
    Shape own = Shape::filled(n, 1);
    const int axis = swap && k < 2 ? 1 - k : k;
    own[axis] = shape[axis];
    grids.push_back(tensors[static_cast<size_t>(k)].reshape(own).expand(shape));
  }
  return grids;
}

namespace {

Tensor triangle(const char* name, const Tensor& x, int64_t diagonal, bool lower) {
  const OpName op(name);
  WEFT_CHECK(x.rank() >= 2, ShapeError, "expects at least 2 dimensions, got ", x.shape());
  Tensor y = empty(x.shape(), x.options());
  kernels::triangle(x.device(), mut_ref(y), ref(x), diagonal, lower);
  return record(name, y, {x}, [=](BackwardCtx& c) -> Grads { return {triangle(name, c.grad(), diagonal, lower)}; });
}

// Copies between a [.., C r^2, H, W] (many) and a [.., C, H r, W r] (wide), both seen as [.., C, H, r, W, r].
void shuffle_copy(Tensor& to, const Tensor& from, int64_t r) {
  const bool shuffle = to.size(-1) == from.size(-1) * r;
  const Tensor& many = shuffle ? from : to;
  const Tensor& wide = shuffle ? to : from;
  const int lead = many.rank() - 3;
  Shape shape = many.shape().slice(0, lead);
  Strides m = many.strides().slice(0, lead), w = wide.strides().slice(0, lead);
  auto axis = [&](int64_t size, int64_t stride_many, int64_t stride_wide) {
    shape.push_back(size);
    m.push_back(stride_many);
    w.push_back(stride_wide);
  };
  const int64_t c = many.strides()[-3];
  axis(wide.size(-3), c * r * r, wide.strides()[-3]);
  axis(many.size(-2), many.strides()[-2], wide.strides()[-2] * r);
  axis(r, c * r, wide.strides()[-2]);
  axis(many.size(-1), many.strides()[-1], wide.strides()[-1] * r);
  axis(r, c, wide.strides()[-1]);
  kernels::copy(to.device(), seen_as(mut_ref(to), shape.data(), (shuffle ? w : m).data(), shape.size()),
                seen_as(ref(from), shape.data(), (shuffle ? m : w).data(), shape.size()));
}

}  // namespace

Tensor tril(const Tensor& x, Int diagonal) { return triangle("tril", x, diagonal, true); }
Tensor triu(const Tensor& x, Int diagonal) { return triangle("triu", x, diagonal, false); }

namespace {
constexpr int64_t kMaxFactor = 1 << 16;  // its square times a size must not overflow
}
Tensor pixel_shuffle(const Tensor& x, Int upscale_factor) {
  const OpName op("pixel_shuffle");
  const int64_t r = upscale_factor;
  WEFT_CHECK(r >= 1 && r <= kMaxFactor, ValueError, "upscale_factor must be 1 to ", kMaxFactor, ", got ", r);
  WEFT_CHECK(x.rank() >= 3, ShapeError, "expects at least 3 dimensions, got ", x.shape());
  WEFT_CHECK(x.size(-3) % (r * r) == 0, ShapeError, x.size(-3),
             " channels are not divisible by upscale_factor^2 = ", r * r);
  Shape shape = x.shape();
  shape[-3] /= r * r;
  shape[-2] *= r;
  shape[-1] *= r;
  Tensor y = detail::empty_ordered(shape, x.dtype(), x);
  if (r == 1) kernels::copy(x.device(), mut_ref(y), ref(x));
  else shuffle_copy(y, x, r);
  return record(op, y, {x}, [r](BackwardCtx& c) -> Grads { return {pixel_unshuffle(c.grad(), r)}; });
}

Tensor pixel_unshuffle(const Tensor& x, Int downscale_factor) {
  const OpName op("pixel_unshuffle");
  const int64_t r = downscale_factor;
  WEFT_CHECK(r >= 1 && r <= kMaxFactor, ValueError, "downscale_factor must be 1 to ", kMaxFactor, ", got ", r);
  WEFT_CHECK(x.rank() >= 3, ShapeError, "expects at least 3 dimensions, got ", x.shape());
  WEFT_CHECK(x.size(-2) % r == 0 && x.size(-1) % r == 0, ShapeError, "height and width of ", x.shape(),
             " are not divisible by downscale_factor ", r);
  Shape shape = x.shape();
  shape[-3] *= r * r;
  shape[-2] /= r;
  shape[-1] /= r;
  Tensor y = detail::empty_ordered(shape, x.dtype(), x);
  if (r == 1) kernels::copy(x.device(), mut_ref(y), ref(x));
  else shuffle_copy(y, x, r);
  return record(op, y, {x}, [r](BackwardCtx& c) -> Grads { return {pixel_shuffle(c.grad(), r)}; });
}

Tensor channel_shuffle(const Tensor& x, Int groups) {
  const OpName op("channel_shuffle");
  WEFT_CHECK(x.rank() >= 3, ShapeError, "expects at least 3 dimensions, got ", x.shape());
  WEFT_CHECK(groups > 0 && x.size(1) % groups == 0, ValueError, "the channels of ", x.shape(),
             " are not divisible by groups ", groups);
  return x.unflatten(1, {groups, x.size(1) / groups}).transpose(1, 2).flatten(1, 2);
}

}  // namespace weft
