// Errors of ops that are made of others: in the name of the op that was called.
// Knows errors only.
#pragma once

#include "weft/core/error.h"

namespace weft::detail {

/// Called in a handler: throws the same error as "<op>: <what is wrong>", with `op` in the place of the part that
/// refused.
/// OpName does so without a handler.
/// `Tensor roll(const Tensor& x, int64_t shift) try { ... } catch (const Error& e) { rethrow_as("roll", e); }`
[[noreturn]] WEFT_API void rethrow_as(const char* op, const Error& e);

}  // namespace weft::detail
