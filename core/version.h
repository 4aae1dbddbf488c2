// The version of the library at run time. Must not know anything else.
#pragma once

#ifdef WEFT_BUILDING
#define WEFT_VERSION_API __attribute__((visibility("default")))
#else
#define WEFT_VERSION_API
#endif

namespace weft {

/// The library's version as "major.minor.patch".
[[nodiscard]] WEFT_VERSION_API const char* version();

}  // namespace weft
