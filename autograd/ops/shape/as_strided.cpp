#include "weft/autograd/ops/shape/as_strided.h"

#include <algorithm>

#include "weft/autograd/in_place.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/record.h"
#include "weft/core/factory.h"
#include "weft/core/kernels.h"

namespace weft {
namespace {

/// Which elements of a storage a tensor names.
struct Strided {
  Shape size;
  Strides stride;
  int64_t offset;

  /// One past the last element.
  int64_t end() const { return offset + detail::strided_extent("as_strided", size, stride); }
  Tensor of(const Tensor& x) const {
    Tensor y(make_ref<TensorImpl>(Ref<Storage>(x.impl()->storage), size, stride, offset, x.dtype()));
    y.impl()->is_view = true;
    return y;
  }
  /// Offsets of all elements, in row-major order.
  Tensor positions(Device device) const {
    const TensorOptions o(Dtype::i64, device);
    Tensor at = full(size, offset, o);
    for (int i = 0; i < size.size(); ++i) {
      Shape line = Shape::filled(size.size(), 1);
      line[i] = size[i];
      at = at + (arange(0, size[i], 1, o) * stride[i]).reshape(line);
    }
    return at.flatten();
  }
};

Tensor strided_read(const Tensor& buffer, const Strided& s);

/// Zeros [extent] with g added at the elements that s names.
Tensor strided_add(const Tensor& g, const Strided& s, int64_t extent) {
  Tensor buffer = zeros({extent}, g.options());
  if (g.numel() > 0) {
    if (!detail::steps_of(s.size, s.stride).apart) {
      buffer = index_add(buffer, 0, s.positions(g.device()), g.detach().flatten());
    } else {
      Tensor place = s.of(buffer);
      kernels::copy(g.device(), mut_ref(place), ref(g));
    }
  }
  return record("as_strided", buffer, {g}, [s](BackwardCtx& c) -> Grads { return {strided_read(c.grad(), s)}; });
}

/// The elements of a buffer [extent] that s names: its adjoint.
Tensor strided_read(const Tensor& buffer, const Strided& s) {
  const Tensor from = buffer.contiguous();
  if (s.size.numel() == 0) return zeros(s.size, from.options());
  Strided own = s;
  own.offset += from.impl()->offset;
  return record("as_strided", own.of(from), {from},
                [s, extent = from.numel()](BackwardCtx& c) -> Grads { return {strided_add(c.grad(), s, extent)}; });
}

/// The gradient of x, which named the elements `of`, from that of y, which named `to`: both are seen in one buffer.
Tensor strided_grad(const Tensor& g, Strided to, Strided of) {
  if (g.numel() == 0 || of.size.numel() == 0) return zeros(of.size, g.options());
  const int64_t begin = std::min(to.offset, of.offset), extent = std::max(to.end(), of.end()) - begin;
  to.offset -= begin, of.offset -= begin;
  Tensor buffer = strided_add(g, to, extent);
  if (!detail::steps_of(of.size, of.stride).apart) {  // elements of x that are one in memory share what it gets
    const Tensor count = strided_add(ones(of.size, g.options()), of, extent);
    buffer = buffer / where(gt(count, 1), count, 1);
  }
  return strided_read(buffer, of);
}

}  // namespace

Tensor as_strided(const Tensor& x, const Shape& size, const Strides& stride, std::optional<Int> storage_offset) {
  const OpName op("as_strided");
  check_defined(op, x);
  WEFT_CHECK(size.size() == stride.size(), ShapeError, "size ", size, " and stride ", stride, " differ in length");
  const Strided of{x.shape(), x.strides(), x.impl()->offset}, to{size, stride, storage_offset.value_or(of.offset)};
  WEFT_CHECK(to.offset >= 0, ValueError, "negative storage_offset ", to.offset);
  const auto room = static_cast<int64_t>(x.impl()->storage->bytes() / itemsize(x.dtype()));
  const int64_t extent = detail::strided_extent(op, size, stride);
  WEFT_CHECK(extent == 0 || to.offset <= room - extent, ValueError, "size ", size, ", stride ", stride,
             " and storage_offset ", to.offset, " reach beyond the storage, which has ", room, " elements");
  return record(op, to.of(x), {x}, [to, of](BackwardCtx& c) -> Grads { return {strided_grad(c.grad(), to, of)}; });
}

}  // namespace weft
