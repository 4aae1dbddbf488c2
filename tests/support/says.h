// Looks for words in an error's text.
#pragma once

#include <doctest/doctest.h>

#include <string>

namespace support {

/// Checks that `message` contains `words`; a failure shows the whole message.
inline void says(const std::string& message, const std::string& words) {
  INFO(message);
  CHECK(message.find(words) != std::string::npos);
}

}  // namespace support
