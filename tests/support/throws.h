// Looks at what is thrown.
#pragma once

#include <string>

namespace support {

/// The text of the E (or a class below it) that f throws; empty if nothing is thrown. Other exceptions pass.
template <class E, class F> std::string message_of(F&& f) {
  try {
    f();
  } catch (const E& e) { return e.what(); }
  return "";
}

}  // namespace support
