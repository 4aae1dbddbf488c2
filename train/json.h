// Text as JSON has it. Internal to train.
#pragma once

#include <string>

namespace weft::training {

/// In quotes, with escapes; U+FFFD takes the place of each byte that is no UTF-8.
std::string json_string(const std::string& text);

}  // namespace weft::training
