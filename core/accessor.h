// Element access from C++ loops: `auto a = x.accessor<float, 2>(); a[i][j]`.
// Knows pointers, sizes and strides; Tensor checks dtype, rank and device before it makes one.
#pragma once

#include <cstdint>
#include <type_traits>

namespace weft {

/// A strided window of rank N on a tensor's elements. It owns nothing: the tensor must live and keep its shape
/// meanwhile. Indices are not checked.
template <class T, int N> class TensorAccessor {
 public:
  TensorAccessor(T* data, const int64_t* sizes, const int64_t* strides)
      : data_(data), sizes_(sizes), strides_(strides) {}
  /// Size of an axis.
  int64_t size(int axis) const { return sizes_[axis]; }
  int64_t stride(int axis) const { return strides_[axis]; }  ///< in elements
  /// The first element.
  T* data() const { return data_; }
  /// Rank 1: the element; else the accessor of the axes behind the first.
  decltype(auto) operator[](int64_t i) const {
    if constexpr (N == 1) return (data_[i * strides_[0]]);
    else return TensorAccessor<T, N - 1>(data_ + i * strides_[0], sizes_ + 1, strides_ + 1);
  }

 private:
  T* data_;
  const int64_t *sizes_, *strides_;
};

}  // namespace weft
