// What --help prints: "--steps N   <what for> (at least 1; default 2000)". Knows CLI11 and no command.
#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>

/// CLI11's page with limits and defaults in words behind each text.
class Help : public CLI::Formatter {
 public:
  std::string make_option_opts(const CLI::Option* o) const override {
    if (o->get_type_size() == 0) return "";
    const auto [type, limits] = kind(o);
    std::string name = type == "INT" || type == "UINT" ? "N" : type == "FLOAT" ? "X" : type;
    if (limits.starts_with("{")) {
      name = limits.substr(1, limits.find('}') - 1);
      std::replace(name.begin(), name.end(), ',', '|');
    }
    return " " + name + (o->get_expected_max() > 1 ? " ..." : "");
  }

  std::string make_option_desc(const CLI::Option* o) const override {
    std::string text = o->get_description(), notes;
    const auto note = [&](const std::string& what) { notes += (notes.empty() ? "" : "; ") + what; };
    if (o->get_required()) note("needed");
    const std::string limits = kind(o).second;
    if (!limits.empty() && !limits.starts_with("{")) note(in_words(limits));
    std::string given = o->get_default_str();
    std::erase_if(given, [](char c) { return c == '[' || c == ']'; });
    std::replace(given.begin(), given.end(), ',', ' ');
    if (!given.empty()) note("default " + given);
    if (!notes.empty()) text += (text.empty() ? "(" : " (") + notes + ")";
    return text;
  }

 private:
  /// "INT" and "INT in [1 - 9]" of "INT:INT in [1 - 9]".
  static std::pair<std::string, std::string> kind(const CLI::Option* o) {
    const std::string name = o->get_type_name();
    const size_t colon = name.find(':');
    return {name.substr(0, colon), colon == std::string::npos ? "" : name.substr(colon + 1)};
  }

  static std::string in_words(const std::string& limits) {
    const size_t open = limits.find(" in ["), middle = limits.find(" - ", open), close = limits.rfind(']');
    if (open == std::string::npos || middle == std::string::npos || close == std::string::npos) return limits;
    const std::string least = limits.substr(open + 5, middle - open - 5),
                      most = limits.substr(middle + 3, close - middle - 3);
    constexpr size_t kEndless = 9;  // digits: such a limit only keeps numbers from overflowing
    return most.size() >= kEndless ? "at least " + least : least + " to " + most;
  }
};
