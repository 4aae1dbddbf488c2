// What a kernel gets of a tensor: pointer, shape, strides, dtype. Valid during the call only.
#pragma once

#include "weft/core/tensor.h"

namespace weft {

/// A tensor to read. `storage` is there for caches of packed weights (id, version), null for anything else.
struct TensorRef {
  const void* data = nullptr;        ///< the first element; null: undefined
  const int64_t* shape = nullptr;    ///< one size for each axis
  const int64_t* strides = nullptr;  // in elements
  int rank = 0;                      ///< number of axes
  Dtype dtype = Dtype::f32;          ///< of the elements
  int64_t numel = 0;                 ///< product of the sizes
  int64_t offset = 0;                // of `data` in the storage, in elements
  Storage* storage = nullptr;        ///< of the tensor's memory

  /// Is there a tensor?
  bool defined() const { return data != nullptr; }
  /// Size and stride (in elements) of axis i; -1 is the last.
  int64_t size(int i) const { return shape[i < 0 ? i + rank : i]; }
  int64_t stride(int i) const { return strides[i < 0 ? i + rank : i]; }
  /// The pointer as one to T, unchecked.
  template <class T> const T* as() const { return static_cast<const T*>(data); }
};

/// A tensor to write. Outputs are allocated by the op, never by the kernel.
struct MutTensorRef : TensorRef {
  void* mut = nullptr;  ///< the first element, to write
  /// The pointer as one to T, unchecked.
  template <class T> T* as_mut() const { return static_cast<T*>(mut); }
};

/// The memory of r from element `from` on, seen with other axes. The arrays must outlive the view.
template <class R> R seen_as(R r, const int64_t* shape, const int64_t* strides, int rank, int64_t from = 0) {
  const int64_t bytes = from * static_cast<int64_t>(itemsize(r.dtype));
  r.data = static_cast<const char*>(r.data) + bytes;
  if constexpr (requires { r.mut; }) r.mut = static_cast<char*>(r.mut) + bytes;
  r.offset += from;
  r.shape = shape, r.strides = strides, r.rank = rank;
  r.numel = 1;
  for (int i = 0; i < rank; ++i) r.numel *= shape[i];
  return r;
}
/// Memory that belongs to no Tensor.
inline TensorRef ref(const void* data, Dtype dtype, const int64_t* shape, const int64_t* strides, int rank) {
  return seen_as(TensorRef{.data = data, .dtype = dtype}, shape, strides, rank);
}
inline MutTensorRef mut_ref(void* data, Dtype dtype, const int64_t* shape, const int64_t* strides, int rank) {
  return seen_as(MutTensorRef{{.data = data, .dtype = dtype}, data}, shape, strides, rank);
}

/// For an undefined tensor (an optional argument): a TensorRef with defined() == false.
inline TensorRef ref(const Tensor& t) {
  if (!t.defined()) return {};
  const TensorImpl& i = *t.impl();
  return {t.raw_data(), i.shape.data(), i.strides.data(), i.shape.size(), i.dtype, i.numel, i.offset, i.storage.get()};
}
inline MutTensorRef mut_ref(Tensor& t) {
  if (!t.defined()) return {};
  return {ref(t), t.mut_raw_data()};
}

}  // namespace weft
