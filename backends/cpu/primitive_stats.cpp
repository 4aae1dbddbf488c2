#include "weft/backends/cpu/primitive_stats.h"

#if !WEFT_HAS_ONEDNN
namespace weft::cpu {
PrimitiveStats primitive_stats() { return {}; }
}  // namespace weft::cpu
#endif
