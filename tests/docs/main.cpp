// Runs one page (or section) of the program, or all, each in a folder of its own: PROGRAM [PAGE].
#include <cstdio>
#include <exception>
#include <filesystem>
#include <iostream>
#include <random>
#include <sstream>

#include "page.h"

namespace docs {
namespace {

std::string where;
std::ostringstream printed;
std::streambuf* terminal = nullptr;
int failures = 0;

std::string give_back() {
  std::cout.rdbuf(terminal);
  std::string text = printed.str();
  printed.str("");
  return text;
}

std::string trimmed(const std::string& text) {
  std::istringstream in(text);
  std::string out, line;
  while (std::getline(in, line)) out += line.erase(line.find_last_not_of(" \t") + 1) + '\n';
  return out.erase(out.find_last_not_of('\n') + 1);
}

void run(const Page& page) {
  const auto folder = std::filesystem::temp_directory_path() / ("weft_docs_" + std::to_string(std::random_device()()));
  std::filesystem::create_directories(folder);
  std::filesystem::current_path(folder);
  where = page.name;
  try {
    page.run();
  } catch (const std::exception& e) {
    fail(e.what());
    give_back();
  }
  std::filesystem::current_path("/");
  std::filesystem::remove_all(folder);
}

}  // namespace

std::vector<Page>& pages() {
  static std::vector<Page> all;
  return all;
}

void begin(const char* block) {
  where = block;
  std::cout.rdbuf(printed.rdbuf());
}

void end(const char* expected) {
  const std::string text = give_back();
  if (!expected || matches(expected, text)) return;
  std::fprintf(stderr, "%s: prints\n%s\nand the page says\n%s\n", where.c_str(), trimmed(text).c_str(), expected);
  ++failures;
}

void fail(const char* what) {
  std::fprintf(stderr, "%s: %s\n", where.c_str(), what);
  ++failures;
}

bool matches(const std::string& pattern, const std::string& text) {
  const std::string p = trimmed(pattern), t = trimmed(text);
  size_t at = 0;  // in t; the parts of p between dots must follow each other
  for (size_t from = 0; from <= p.size();) {
    const size_t dots = std::min(p.find("...", from), p.size());
    const std::string part = p.substr(from, dots - from);
    const bool last = dots == p.size();
    if (from == 0) {
      if (t.compare(0, part.size(), part) != 0) return false;
      at = part.size();
    } else if (!last) {
      const size_t found = t.find(part, at);
      if (found == std::string::npos) return false;
      at = found + part.size();
    }
    if (last) {
      if (from == 0) return t.size() == part.size();
      return t.size() >= at + part.size() && t.compare(t.size() - part.size(), part.size(), part) == 0;
    }
    from = dots + 3;
  }
  return false;
}

}  // namespace docs

int main(int argc, char** argv) {
  docs::terminal = std::cout.rdbuf();
  int runs = 0;
  for (const docs::Page& page : docs::pages())
    if (argc < 2 || std::string(argv[1]) == page.name) docs::run(page), ++runs;
  if (runs == 0) std::fprintf(stderr, "there is no page %s\n", argc < 2 ? "" : argv[1]);
  return docs::failures == 0 && runs > 0 ? 0 : 1;
}
