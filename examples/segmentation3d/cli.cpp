#include "cli.h"

std::array<int64_t, 2> parse_range(const std::string& text) {
  const size_t colon = text.find(':');
  std::array<int64_t, 2> range{};
  const bool good = colon != std::string::npos && CLI::detail::lexical_cast(text.substr(0, colon), range[0]) &&
                    CLI::detail::lexical_cast(text.substr(colon + 1), range[1]);
  return good ? range : std::array<int64_t, 2>{0, 0};
}

CLI::Validator slice_range() {
  auto check = [](const std::string& text) -> std::string {
    const auto [first, end] = parse_range(text);
    return first >= 0 && first < end ? "" : "'" + text + "' is no range of slices FIRST:END, such as 0:24";
  };
  return {check, "FIRST:END"};
}
