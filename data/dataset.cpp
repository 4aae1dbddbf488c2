#include "weft/data/dataset.h"

namespace weft::data {

void check_index(const char* what, int64_t i, int64_t size) {
  WEFT_CHECK(i >= 0 && i < size, ValueError, what, ": there is no sample ", i, "; the dataset has ", size);
}

}  // namespace weft::data
