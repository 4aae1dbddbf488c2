// The exception types of weft and the checks that throw them.
// Form of a message: "<op>: <what is wrong, with the values>[; <what to do>]". Built only on failure.
#pragma once

#include <cstddef>
#include <sstream>
#include <stdexcept>
#include <string>

#include "weft/core/export.h"

namespace weft {

/// Base of everything weft throws.
struct WEFT_API Error : std::runtime_error {
  /// The text is given in the name of the calling thread's OpName, if there is one. Where there is no memory for it, an
  /// OutOfMemory is thrown in its place.
  explicit Error(const std::string& text);
  explicit Error(const char* text);
  /// Another text for an error on its way up, which stays the same object of the same type:
  /// `catch (Error& e) { e.set_text(str(path, ": ", e.what())); throw; }`. The old text stays where there is no memory.
  void set_text(const std::string& text) noexcept;
  /// Adds what was being done: "<text> (<context>)".
  void add_context(const std::string& context) noexcept;
};
/// A size, rank or broadcast that does not fit.
struct WEFT_API ShapeError : Error {
  using Error::Error;
};
/// A dtype that the op does not take, or dtypes that differ.
struct WEFT_API DtypeError : Error {
  using Error::Error;
};
/// Tensors on different devices, or a device that is not there.
struct WEFT_API DeviceError : Error {
  using Error::Error;
};
/// An argument out of its range; an unknown name.
struct WEFT_API ValueError : Error {
  using Error::Error;
};
/// A file that cannot be read or written, or that lies about its content.
struct WEFT_API IoError : Error {
  /// Stays whole in an OpName: the text names the file.
  explicit IoError(const std::string& text);
  explicit IoError(const char* text) : IoError(std::string(text)) {}
};
/// Legal, but not offered (a kernel, a dtype, an option).
struct WEFT_API NotSupported : Error {
  using Error::Error;
};
/// A collective that failed or timed out.
struct WEFT_API CommError : Error {
  using Error::Error;
};
/// No memory, by the system or by the limit that was set.
struct WEFT_API OutOfMemory : Error {
  using Error::Error;
};

namespace detail {
/// The calling thread's outermost OpName, which OpName alone writes; null outside of any.
WEFT_API const char*& op_name() noexcept;
}  // namespace detail

/// Names the op that the calling thread is in: errors of all that its block calls read "<op>: <what is wrong>", whether
/// the part that finds it says a name of its own or none. The outermost op counts. It is itself the name that checks
/// and `record` take: `const OpName op("roll"); check_defined(op, x);`. `name` is a literal, or lives as long.
class [[nodiscard]] OpName {
 public:
  explicit OpName(const char* name) noexcept : name_(name), outermost_(detail::op_name()), outer_(outermost_) {
    if (!outer_) outermost_ = name;
  }
  ~OpName() { outermost_ = outer_; }
  OpName(const OpName&) = delete;
  OpName& operator=(const OpName&) = delete;
  /// The name that was given.
  operator const char*() const { return name_; }

 private:
  const char* name_;
  const char*& outermost_;  // the thread's
  const char* outer_;
};

namespace detail {
/// text in the name of `op`, which takes the place of another op's: a word before the first ": ". What a device or a
/// library says keeps its name: "zeros: cpu: out of memory".
WEFT_API std::string named(const char* op, const char* text);
/// OutOfMemory for `bytes` (0: not known) that the C++ heap did not give. It needs no memory itself. Inside the library
/// the linker puts it in place of std::bad_alloc (heap.cpp); templates that a user's program compiles call it.
[[noreturn]] WEFT_API void heap_exhausted(size_t bytes);
}  // namespace detail

/// Concatenates printable values.
template <class... A> std::string str(const A&... parts) {
  std::ostringstream s;
  (void)(s << ... << parts);
  return std::move(s).str();
}

/// Throws E with the concatenated parts as its text.
template <class E, class... A> [[noreturn]] __attribute__((cold, noinline)) void raise(const A&... parts) {
  throw E(str(parts...));
}

}  // namespace weft

/// Throws `E` with the concatenated message when `cond` is false.
#define WEFT_CHECK(cond, E, ...)             \
  do {                                       \
    if (!(cond)) [[unlikely]]                \
      ::weft::raise<::weft::E>(__VA_ARGS__); \
  } while (false)

/// For bugs in weft itself, never for bad input.
#define WEFT_ASSERT(cond) \
  WEFT_CHECK(cond, Error, "internal error: ", #cond, " does not hold at ", __FILE__, ":", __LINE__)
