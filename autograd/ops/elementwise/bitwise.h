// Operations on the bits of integers, element by element, with broadcasting and promotion as in binary.h. Nothing is
// recorded. DtypeError for floating tensors; bool has its logic in the first four and is refused by the shifts.
#pragma once

#include "weft/core/tensor.h"

namespace weft {

/// The and of the bits of x and y. -> the promoted dtype, the broadcast shape.
WEFT_API Tensor bitwise_and(const Tensor& x, const Tensor& y);
WEFT_API Tensor bitwise_and(const Tensor& x, Scalar y);
WEFT_API Tensor bitwise_and(Scalar x, const Tensor& y);
/// The or of the bits.
WEFT_API Tensor bitwise_or(const Tensor& x, const Tensor& y);
WEFT_API Tensor bitwise_or(const Tensor& x, Scalar y);
WEFT_API Tensor bitwise_or(Scalar x, const Tensor& y);
/// The exclusive or of the bits.
WEFT_API Tensor bitwise_xor(const Tensor& x, const Tensor& y);
WEFT_API Tensor bitwise_xor(const Tensor& x, Scalar y);
WEFT_API Tensor bitwise_xor(Scalar x, const Tensor& y);
/// Every bit inverted. Of a bool: not.
WEFT_API Tensor bitwise_not(const Tensor& x);
/// x 2^y, wrapping; 0 where y is negative or at least x's number of bits.
WEFT_API Tensor bitwise_left_shift(const Tensor& x, const Tensor& y);
WEFT_API Tensor bitwise_left_shift(const Tensor& x, Scalar y);
WEFT_API Tensor bitwise_left_shift(Scalar x, const Tensor& y);
/// x / 2^y, rounded down; where y is negative or at least x's number of bits, 0, or -1 for x < 0.
WEFT_API Tensor bitwise_right_shift(const Tensor& x, const Tensor& y);
WEFT_API Tensor bitwise_right_shift(const Tensor& x, Scalar y);
WEFT_API Tensor bitwise_right_shift(Scalar x, const Tensor& y);

// On bools the operators are logic: `(x > 0) & ~(x > 9)`. There is no operator for shifts: << prints.
/// x & y is bitwise_and, x | y bitwise_or, x ^ y bitwise_xor, ~x bitwise_not.
inline Tensor operator&(const Tensor& x, const Tensor& y) { return bitwise_and(x, y); }
inline Tensor operator&(const Tensor& x, Scalar y) { return bitwise_and(x, y); }
inline Tensor operator&(Scalar x, const Tensor& y) { return bitwise_and(x, y); }
inline Tensor operator|(const Tensor& x, const Tensor& y) { return bitwise_or(x, y); }
inline Tensor operator|(const Tensor& x, Scalar y) { return bitwise_or(x, y); }
inline Tensor operator|(Scalar x, const Tensor& y) { return bitwise_or(x, y); }
inline Tensor operator^(const Tensor& x, const Tensor& y) { return bitwise_xor(x, y); }
inline Tensor operator^(const Tensor& x, Scalar y) { return bitwise_xor(x, y); }
inline Tensor operator^(Scalar x, const Tensor& y) { return bitwise_xor(x, y); }
inline Tensor operator~(const Tensor& x) { return bitwise_not(x); }
/// In place. The result has x's shape and dtype, or it is an error.
WEFT_API Tensor& operator&=(Tensor& x, const Tensor& y);
WEFT_API Tensor& operator|=(Tensor& x, const Tensor& y);
WEFT_API Tensor& operator^=(Tensor& x, const Tensor& y);

}  // namespace weft
