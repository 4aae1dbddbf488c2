#include "cli.h"

#include <algorithm>
#include <cstdlib>
#include <iostream>

CLI::Validator finite_number(bool zero) {
  auto check = [zero](const std::string& text) -> std::string {
    double v = NAN;
    if (CLI::detail::lexical_cast(text, v) && std::isfinite(v) && (v > 0 || (zero && v == 0))) return "";
    return text + " is no finite number " + (zero ? ">= 0" : "> 0");
  };
  return {check, zero ? ">= 0" : "> 0"};
}

CLI::Validator device_name() {
  auto check = [](const std::string& text) -> std::string {
    const bool numbered = text.starts_with("cuda:") && text.size() > 5 && text.size() < 9 &&
                          text.find_first_not_of("0123456789", 5) == std::string::npos;
    return text == "cpu" || text == "cuda" || numbered ? "" : "'" + text + "' is no device: cpu, cuda or cuda:N";
  };
  return {check, "DEVICE"};
}

CLI::Validator multiple_of(int64_t step, int64_t least, int64_t most) {
  const std::string what = std::to_string(least) + " to " + std::to_string(most) + ", a multiple of " +
                           std::to_string(step);
  auto check = [=](const std::string& text) -> std::string {
    int64_t v = 0;
    const bool good = CLI::detail::lexical_cast(text, v) && v >= least && v <= most && v % step == 0;
    return good ? "" : text + " is not " + what;
  };
  return {check, what};
}

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

int parse(CLI::App& app, int argc, char** argv) {
  constexpr int kWrongUsage = 2;
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) std::exit(app.exit(e));  // --help
    std::string command, said = e.what();
    for (const CLI::App* each : app.get_subcommands()) command = each->get_name() + " ";
    std::replace(said.begin(), said.end(), '\n', ' ');
    std::cerr << app.get_name() << ": " << said << "; see " << app.get_name() << ' ' << command << "--help\n";
    return kWrongUsage;
  }
}
