#include "weft/core/error.h"

#include <new>

namespace weft {
namespace {

// Made while there is memory; a copy shares its text.
const OutOfMemory& spare() {
  static const auto* e = new OutOfMemory(
      "weft: out of memory: the C++ heap gave no memory for a small object; use smaller batches or free tensors");
  return *e;
}
[[maybe_unused]] const OutOfMemory& g_spare = spare();

}  // namespace

Error::Error(const std::string& text) try : std
  ::runtime_error(text) {}
catch (const std::bad_alloc&) {
  throw OutOfMemory(spare());
}
Error::Error(const char* text) try : std
  ::runtime_error(text) {}
catch (const std::bad_alloc&) {
  throw OutOfMemory(spare());
}

void detail::heap_exhausted(size_t bytes) {
  // What is small does not fail alone: the text would not fit either.
  if (bytes < (size_t{1} << 20)) throw OutOfMemory(spare());
  raise<OutOfMemory>("cpu: out of memory: ", bytes, " bytes requested from the C++ heap",
                     "; use smaller batches or free tensors");
}

}  // namespace weft
