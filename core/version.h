// The version of the library at run time. Must not know anything else.
#pragma once

#include "weft/core/export.h"

namespace weft {

/// The library's version as "major.minor.patch".
[[nodiscard]] WEFT_API const char* version();

}  // namespace weft
