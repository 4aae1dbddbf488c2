#include "support/test_data.h"

namespace weft::test {

std::string data_file(const std::string& relative) { return std::string(WEFT_TEST_DATA) + "/" + relative; }

}  // namespace weft::test
