#include "weft/core/error.h"

#include <cstring>
#include <new>
#include <string_view>

namespace weft {
namespace {

// Made while there is memory; a copy shares its text.
const OutOfMemory& spare() {
  static const auto* e = new OutOfMemory(
      "weft: out of memory: the C++ heap gave no memory for a small object; use smaller batches or free tensors");
  return *e;
}
[[maybe_unused]] const OutOfMemory& g_spare = spare();

// Every op asks for it: a word of the thread itself, found without a call.
[[gnu::tls_model("initial-exec")]] thread_local const char* t_op = nullptr;

// A device, a library or a file that failed is named whichever op met it.
bool kept(std::string_view text) {
  const std::string_view word = text.substr(0, text.find(':'));
  const bool file = word.find('/') != word.npos || (word.find('.') != word.npos && !word.starts_with("linalg"));
  return file || word == "cpu" || word == "cuda" || word == "oneDNN";
}

}  // namespace

Error::Error(const std::string& text) : Error(text.c_str()) {}
Error::Error(const char* text) try : std
  ::runtime_error(t_op ? detail::named(t_op, text) : text) {}
catch (const std::bad_alloc&) {
  throw OutOfMemory(spare());
}

IoError::IoError(const std::string& text) : Error(text) {
  if (t_op) set_text(str(t_op, ": ", text));
}

void Error::set_text(const std::string& text) noexcept {
  try {
    static_cast<std::runtime_error&>(*this) = std::runtime_error(text);  // copies share their text: none throws
  } catch (...) {}  // no memory: the library's operator new throws an OutOfMemory
}
void Error::add_context(const std::string& context) noexcept {
  try {
    set_text(str(what(), " (", context, ")"));
  } catch (...) {}
}

const char*& detail::op_name() noexcept { return t_op; }

std::string detail::named(const char* op, const char* text) {
  const char* rest = std::strstr(text, ": ");
  const bool other = rest && rest != text && text + std::strcspn(text, " \"'[") > rest && !kept(text);
  return str(op, ": ", other ? rest + 2 : text);
}

void detail::heap_exhausted(size_t bytes) {
  // What is small does not fail alone: the text would not fit either.
  if (bytes < (size_t{1} << 20)) throw OutOfMemory(spare());
  raise<OutOfMemory>("cpu: out of memory: ", bytes, " bytes requested from the C++ heap",
                     "; use smaller batches or free tensors");
}

}  // namespace weft
