#include "support/test_data.h"

#include <cstdlib>

namespace weft::test {

std::string data_file(const std::string& relative) {
  const char* moved = std::getenv("WEFT_TEST_DATA");
  return std::string(moved ? moved : WEFT_TEST_DATA) + "/" + relative;
}

}  // namespace weft::test
