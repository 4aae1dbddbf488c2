// Command lines of the larger examples: checks of options, one line about wrong usage. Knows CLI11 and no command.
#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <numeric>
#include <string>
#include <vector>

#include "help.h"

/// A finite number: CLI11's own checks let NaN through.
inline CLI::Validator finite_number() {
  auto check = [](const std::string& text) -> std::string {
    double v = NAN;
    return CLI::detail::lexical_cast(text, v) && std::isfinite(v) ? "" : text + " is no finite number";
  };
  return {check, ""};
}

/// A finite number above 0, or 0 itself too.
inline CLI::Validator finite_number(bool zero) {
  auto check = [zero](const std::string& text) -> std::string {
    double v = NAN;
    if (CLI::detail::lexical_cast(text, v) && std::isfinite(v) && (v > 0 || (zero && v == 0))) return "";
    return text + " is no finite number " + (zero ? ">= 0" : "> 0");
  };
  return {check, zero ? ">= 0" : "> 0"};
}

/// cpu, cuda or cuda:N.
inline CLI::Validator device_name() {
  auto check = [](const std::string& text) -> std::string {
    const bool numbered = text.starts_with("cuda:") && text.size() > 5 && text.size() < 9 &&
                          text.find_first_not_of("0123456789", 5) == std::string::npos;
    return text == "cpu" || text == "cuda" || numbered ? "" : "'" + text + "' is no device: cpu, cuda or cuda:N";
  };
  return {check, ""};
}

/// A picture to be written: a name that ends in .png, .jpg or .jpeg, in a folder that exists.
inline CLI::Validator picture_to_write() {
  auto check = [](const std::string& text) -> std::string {
    const std::filesystem::path path(text), folder = path.parent_path(), end = path.extension();
    if (end != ".png" && end != ".jpg" && end != ".jpeg") return text + " does not end in .png, .jpg or .jpeg";
    return folder.empty() || std::filesystem::is_directory(folder) ? "" : folder.string() + " is no folder";
  };
  return {check, ".png or .jpg"};
}

/// A whole number from `least` to `most` that `step` divides.
inline CLI::Validator multiple_of(int64_t step, int64_t least, int64_t most) {
  const std::string what = std::to_string(least) + " to " + std::to_string(most) + ", a multiple of " +
                           std::to_string(step);
  auto check = [=](const std::string& text) -> std::string {
    int64_t v = 0;
    if (!CLI::detail::lexical_cast(text, v) || v < least || v > most) return text + " is not " + what;
    if (v % step == 0) return "";
    const int64_t low = std::max(least, v / step * step);
    return text + " is not a multiple of " + std::to_string(step) + "; take " + std::to_string(low) +
           (low + step <= most ? " or " + std::to_string(low + step) : "");
  };
  return {check, what};
}

/// Letters to insert, delete, replace or swap with their neighbour.
inline size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  std::iota(d[0].begin(), d[0].end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i)
    for (size_t j = 1; j <= b.size(); ++j) {
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  return d[a.size()][b.size()];
}

/// "; did you mean 'X'?" with the name that is nearest to `word`, or nothing where none is near.
inline std::string guess(const std::string& word, const std::vector<std::string>& names) {
  std::string best;
  size_t least = std::max<size_t>(1, word.size() / 3) + 1;
  for (const std::string& name : names) {
    // a beginning of the word counts as one letter
    const size_t d = word.size() > 1 && name.starts_with(word) ? 1 : edit_distance(word, name);
    if (d < least) least = d, best = name;
  }
  return best.empty() ? "" : "; did you mean '" + best + "'?";
}

/// A word that is no command or no option of its command, and what was meant; empty if there is none.
inline std::string misspelt(const CLI::App& app, int argc, char** argv) {
  const CLI::App* command = nullptr;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i], name = word.substr(0, word.find('='));
    std::vector<std::string> names;
    if (!command && !word.starts_with("-")) {
      for (const CLI::App* each : app.get_subcommands(nullptr)) {
        names.push_back(each->get_name());
        if (each->get_name() == word) command = each;
      }
      if (!command) return "there is no command '" + word + "'" + guess(word, names);
    } else if (command && name.starts_with("--") && name != "--") {
      for (const CLI::Option* o : command->get_options())
        for (const std::string& option : o->get_lnames()) names.push_back("--" + option);
      if (std::find(names.begin(), names.end(), name) == names.end())
        return command->get_name() + ": there is no option '" + name + "'" + guess(name, names);
    }
  }
  return "";
}

/// Parses. 0, or 2 after one line about wrong usage, which guesses what a misspelt word was meant to be. `--help`
/// prints and ends the program.
inline int parse(CLI::App& app, const std::string& program, int argc, char** argv) {
  constexpr int kWrongUsage = 2;
  const auto help = std::make_shared<Help>();
  app.formatter(help);
  for (CLI::App* command : app.get_subcommands(nullptr)) command->formatter(help);
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) std::exit(app.exit(e));  // --help
    std::string said = misspelt(app, argc, argv), command;
    for (const CLI::App* each : app.get_subcommands()) command = each->get_name();
    if (said.empty()) said = (command.empty() ? "" : command + ": ") + e.what();
    std::replace(said.begin(), said.end(), '\n', ' ');
    std::cerr << program << ": " << said << (said.ends_with("?") || said.ends_with(";") ? " see" : "; see") << ' '
              << program << ' ' << (command.empty() ? "" : command + " ") << "--help\n";
    return kWrongUsage;
  }
}
