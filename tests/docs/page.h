// What the programs made of documents call. The blocks of a page run in order in one scope, and what they print is
// compared with the text that stands below them.
#pragma once

#include <exception>
#include <string>
#include <vector>

namespace docs {

struct Page {
  const char* name;
  void (*run)();
};
/// All pages of the program; each file adds its own.
std::vector<Page>& pages();
inline bool add_page(const char* name, void (*run)()) {
  pages().push_back({name, run});
  return true;
}

/// One block: prints go into a buffer while it runs.
void begin(const char* where);
/// The block has ended. `expected`: what the page shows below it; null: anything. "..." in it stands for any text.
void end(const char* expected);

/// An error of the block: counted, named by its place.
void fail(const char* what);

/// A row of a table: R().run() is a block of its own.
template <class R> void row(const char* where) {
  begin(where);
  try {
    R().run();
  } catch (const std::exception& e) { fail(e.what()); }
  end(nullptr);
}

/// `text` as `pattern` says, where "..." matches anything. Ends of lines are trimmed on both sides.
bool matches(const std::string& pattern, const std::string& text);

}  // namespace docs
