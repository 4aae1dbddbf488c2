// Where the files that tests read lie. Must not know what they are.
#pragma once

#include <string>

namespace weft::test {

/// The path of tests/<relative> in the source tree, or in the folder that WEFT_TEST_DATA names:
/// `data_file("io/data/truncated.npy")`.
std::string data_file(const std::string& relative);

}  // namespace weft::test
