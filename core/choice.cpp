#include "weft/core/choice.h"

#include <algorithm>
#include <string>

#include "weft/core/error.h"

namespace weft::detail {

size_t word_index(std::string_view what, const std::string_view* words, size_t count, std::string_view text) {
  const std::string_view* at = std::find(words, words + count, text);
  if (text.size() == 1 && text[0] >= 'a' && text[0] <= 'z' && at == words + count)  // "l" for "L"
    at = std::find(words, words + count, std::string(1, static_cast<char>(text[0] - 'a' + 'A')));
  if (at != words + count) return static_cast<size_t>(at - words);
  std::string all;
  for (size_t i = 0; i < count; ++i)
    all += (i == 0 ? "'" : i + 1 < count ? ", '" : " or '") + std::string(words[i]) + "'";
  raise<ValueError>(what, " '", text, "' is unknown; expected ", all);
}

}  // namespace weft::detail
