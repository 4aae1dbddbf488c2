#include "weft/core/version.h"

namespace weft {

const char* version() { return WEFT_VERSION; }

}  // namespace weft
