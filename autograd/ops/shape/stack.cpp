#include "weft/autograd/ops/shape/stack.h"

#include <algorithm>

#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/shape/pieces.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"

namespace weft {
namespace {

/// The tensors with at least `rank` axes.
std::vector<Tensor> raised_to(const char* op, int rank, const std::vector<Tensor>& tensors) {
  WEFT_CHECK(!tensors.empty(), ValueError, op, ": the list of tensors is empty");
  std::vector<Tensor> raised;
  for (const Tensor& t : tensors) {
    Tensor x = t;
    check_defined(op, x);
    if (x.rank() == 0) x = x.reshape({1});
    if (x.rank() == 1 && rank >= 2) x = x.unsqueeze(0);
    if (x.rank() == 2 && rank == 3) x = x.unsqueeze(2);
    raised.push_back(std::move(x));
  }
  return raised;
}

std::vector<Tensor> split_at(const Tensor& x, const std::vector<int64_t>& indices, int rank, Int dim) {
  WEFT_CHECK(x.rank() >= rank, ShapeError, "expects at least ", rank, " dimensions, got ", x.shape());
  return tensor_split(x, indices, dim);
}
std::vector<Tensor> split_evenly(const Tensor& x, Int sections, int rank, Int dim) {
  WEFT_CHECK(x.rank() >= rank, ShapeError, "expects at least ", rank, " dimensions, got ", x.shape());
  WEFT_CHECK(sections > 0 && x.size(dim) % sections == 0, ValueError, "dim ", dim, " of ", x.shape(),
             " does not divide into ", sections, " equal sections");
  return tensor_split(x, sections, dim);
}

}  // namespace

Tensor vstack(const std::vector<Tensor>& tensors) {
  const OpName op("vstack");
  return cat(raised_to(op, 2, tensors), 0);
}

Tensor hstack(const std::vector<Tensor>& tensors) {
  const OpName op("hstack");
  const std::vector<Tensor> raised = raised_to(op, 1, tensors);
  return cat(raised, raised[0].rank() == 1 ? 0 : 1);
}

Tensor dstack(const std::vector<Tensor>& tensors) {
  const OpName op("dstack");
  return cat(raised_to(op, 3, tensors), 2);
}

Tensor column_stack(const std::vector<Tensor>& tensors) {
  const OpName op("column_stack");
  WEFT_CHECK(!tensors.empty(), ValueError, "the list of tensors is empty");
  std::vector<Tensor> columns;
  for (const Tensor& t : tensors) columns.push_back(t.rank() < 2 ? t.reshape({t.numel(), 1}) : t);
  return cat(columns, 1);
}

std::vector<Tensor> tensor_split(const Tensor& x, Int sections, Int dim) {
  const OpName op("tensor_split");
  WEFT_CHECK(x.rank() > 0, ShapeError, "a rank-0 tensor has no axis to split");
  WEFT_CHECK(sections > 0, ValueError, "needs at least one section, got ", sections);
  detail::check_pieces(sections);
  const int d = wrap_dim(op, dim, x.rank());
  const int64_t size = x.size(d) / sections, longer = x.size(d) % sections;
  std::vector<Tensor> pieces;
  for (int64_t i = 0, at = 0; i < sections; ++i) {
    const int64_t n = size + (i < longer ? 1 : 0);
    pieces.push_back(x.narrow(d, at, n));
    at += n;
  }
  return pieces;
}

std::vector<Tensor> tensor_split(const Tensor& x, const std::vector<int64_t>& indices, Int dim) {
  const OpName op("tensor_split");
  WEFT_CHECK(x.rank() > 0, ShapeError, "a rank-0 tensor has no axis to split");
  const int d = wrap_dim(op, dim, x.rank());
  std::vector<Tensor> pieces;
  int64_t at = 0;
  for (int64_t end : indices) {
    pieces.push_back(x.slice(d, at, end));
    at = end;
  }
  pieces.push_back(x.slice(d, at));
  return pieces;
}

std::vector<Tensor> hsplit(const Tensor& x, Int sections) {
  const OpName op("hsplit");
  return split_evenly(x, sections, 1, x.rank() == 1 ? 0 : 1);
}
std::vector<Tensor> hsplit(const Tensor& x, const std::vector<int64_t>& indices) {
  const OpName op("hsplit");
  return split_at(x, indices, 1, x.rank() == 1 ? 0 : 1);
}
std::vector<Tensor> vsplit(const Tensor& x, Int sections) {
  const OpName op("vsplit");
  return split_evenly(x, sections, 2, 0);
}
std::vector<Tensor> vsplit(const Tensor& x, const std::vector<int64_t>& indices) {
  const OpName op("vsplit");
  return split_at(x, indices, 2, 0);
}
std::vector<Tensor> dsplit(const Tensor& x, Int sections) {
  const OpName op("dsplit");
  return split_evenly(x, sections, 3, 2);
}
std::vector<Tensor> dsplit(const Tensor& x, const std::vector<int64_t>& indices) {
  const OpName op("dsplit");
  return split_at(x, indices, 3, 2);
}

std::vector<Tensor> tensor_split(const Tensor& x, const Tensor& indices_or_sections, Int dim) {
  const OpName op("tensor_split");
  const Tensor& at = indices_or_sections;
  check_defined(op, x, at);
  WEFT_CHECK(kIndexDtypes.has(at.dtype()), DtypeError, "indices_or_sections is ", at.dtype(), "; expected ",
             kIndexDtypes);
  WEFT_CHECK(at.rank() <= 1, ShapeError, "indices_or_sections must have rank 0 or 1, got ", at.shape());
  if (at.rank() == 0) return tensor_split(x, at.item<int64_t>(), dim);
  return tensor_split(x, at.to_vector<int64_t>(), dim);
}

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  const OpName op("broadcast_to");
  return x.expand(shape);
}

std::vector<Tensor> broadcast_tensors(const std::vector<Tensor>& tensors) {
  const OpName op("broadcast_tensors");
  Shape shape;
  for (const Tensor& t : tensors) shape = broadcast_shapes(op, shape, t.shape(op));
  std::vector<Tensor> views;
  for (const Tensor& t : tensors) views.push_back(t.expand(shape));
  return views;
}

Tensor fliplr(const Tensor& x) {
  const OpName op("fliplr");
  WEFT_CHECK(x.rank() >= 2, ShapeError, "expects at least 2 dimensions, got ", x.shape());
  return flip(x, {1});
}

Tensor flipud(const Tensor& x) {
  const OpName op("flipud");
  WEFT_CHECK(x.rank() >= 1, ShapeError, "expects at least 1 dimension, got ", x.shape());
  return flip(x, {0});
}

Tensor rot90(const Tensor& x, Int k, const Shape& dims) {
  const OpName op("rot90");
  WEFT_CHECK(dims.size() == 2, ValueError, "expects two dims, got ", dims);
  WEFT_CHECK(x.rank() >= 2, ShapeError, "expects at least 2 dimensions, got ", x.shape());
  const int a = wrap_dim(op, dims[0], x.rank()), b = wrap_dim(op, dims[1], x.rank());
  WEFT_CHECK(a != b, ValueError, "the two dims are both ", a);
  switch (k & 3) {
    case 1: return flip(x, {b}).transpose(a, b);
    case 2: return flip(x, {a, b});
    case 3: return flip(x, {a}).transpose(a, b);
    default: return x.clone();
  }
}

Tensor cartesian_prod(const std::vector<Tensor>& tensors) {
  const OpName op("cartesian_prod");
  WEFT_CHECK(!tensors.empty(), ValueError, "the list of tensors is empty");
  Shape sizes;
  for (size_t k = 0; k < tensors.size(); ++k) {
    const Tensor& t = tensors[k];
    WEFT_CHECK(t.rank(op) == 1, ShapeError, "tensor ", k, " is ", t.shape(), "; expected vectors");
    WEFT_CHECK(t.dtype() == tensors[0].dtype(), DtypeError, "tensor ", k, " is ", t.dtype(), ", tensor 0 is ",
               tensors[0].dtype());
    sizes.push_back(t.size(0));
  }
  if (tensors.size() == 1) return tensors[0].reshape(sizes);
  const int64_t rows = checked_numel(op, sizes);
  return stack(meshgrid(tensors), -1).reshape({rows, static_cast<int64_t>(tensors.size())});
}

Tensor combinations(const Tensor& x, Int size, Only<bool> with_replacement) {
  const int64_t r = size;
  const OpName op("combinations");
  WEFT_CHECK(x.rank() == 1, ShapeError, "expects a vector, got ", x.shape());
  WEFT_CHECK(size >= 0, ValueError, "r must not be negative, got ", size);
  if (r == 0) return empty({0}, x.options());
  const int64_t n = x.size(0);
  // r of n with replacement are as many as r of n + r - 1 without
  int64_t of = n, count = 1;
  bool fits = !with_replacement || !__builtin_add_overflow(n, r - 1, &of);
  if (fits && r > of) count = 0;
  for (int64_t i = 0; fits && count > 0 && i < std::min(r, of - r); ++i) {
    fits = !__builtin_mul_overflow(count, of - i, &count);
    count /= i + 1;
  }
  WEFT_CHECK(fits, ShapeError, "there are too many of ", r, " elements of ", n);
  (void)checked_numel(op, {count, r});
  Tensor at = empty({count * r}, Dtype::i64);
  auto* p = at.mut_data<int64_t>();
  std::vector<int64_t> chosen(static_cast<size_t>(count > 0 ? r : 0));
  for (size_t i = 0; i < chosen.size(); ++i) chosen[i] = with_replacement ? 0 : static_cast<int64_t>(i);
  for (int64_t row = 0; row < count; ++row) {
    p = std::copy(chosen.begin(), chosen.end(), p);
    // the last position that can move on, and all behind it begin anew
    auto last = [&](int64_t i) { return with_replacement ? n - 1 : n - r + i; };
    int64_t i = r - 1;
    while (i > 0 && chosen[static_cast<size_t>(i)] == last(i)) --i;
    int64_t next = ++chosen[static_cast<size_t>(i)];
    for (++i; i < r; ++i) chosen[static_cast<size_t>(i)] = with_replacement ? next : ++next;
  }
  return index_select(x, 0, at.to(x.device())).reshape({count, r});
}

}  // namespace weft
