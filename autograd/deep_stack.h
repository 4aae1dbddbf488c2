// Runs a function on a stack of its own, on the same thread: for calls that nest as deep as a user likes.
// Knows nothing of autograd.
#pragma once

#include <functional>

namespace weft::detail {

/// f() on a fresh stack of 8 MiB; what it throws comes out here. OutOfMemory if there is no memory for the stack.
void on_new_stack(const std::function<void()>& f);

}  // namespace weft::detail
