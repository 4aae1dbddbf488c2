// What a progress bar writes where there is no terminal. How it looks on one is for eyes.
#include <fcntl.h>

#include <chrono>
#include <thread>

#include "io/io_test.h"
#include "support/child.h"
#include "weft/io/progress.h"

using namespace io_test;

namespace {

/// What f writes to standard error, which is a file.
template <class F> std::string written(const F& f) {
  Folder folder;
  const std::string path = folder / "err";
  CHECK(support::in_child([&] {
          const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT, 0600);
          ::dup2(fd, STDERR_FILENO);
          f();
          return 0;
        }) == 0);
  return read_file(path);
}

void rest() { std::this_thread::sleep_for(std::chrono::milliseconds(3)); }

}  // namespace

TEST_SUITE_BEGIN("progress");

TEST_CASE("without a terminal there are plain lines, of long runs only") {
  const std::string lines = written([] {
    io::Progress bar("train", 4, {.line_seconds = 0.001});
    for (int i = 1; i <= 4; ++i) {
      rest();
      if (bar.shown()) bar.update(i, "loss 0.5");
    }
  });
  CHECK(lines.starts_with("train  1/4  loss 0.5  "));
  CHECK(lines.find("/s  0:00 left\n") != std::string::npos);
  CHECK(std::count(lines.begin(), lines.end(), '\n') == 4);
  CHECK(lines.find('\r') == std::string::npos);
  const std::string resumed = written([] {
    io::Progress bar("train", 1000000, {.line_seconds = 0.001, .done_before = 999998});
    rest();
    bar.update(999999);
  });
  CHECK(resumed.find("  0:00 left\n") != std::string::npos);
  CHECK(resumed.find("/s") != std::string::npos);
  const auto short_run = [](double line_seconds) {
    return written([&] {
      io::Progress bar("train", 2, {.line_seconds = line_seconds});
      rest();
      CHECK_FALSE(bar.shown());
      bar.update(1);
      bar.update(2);
    });
  };
  CHECK(short_run(0) == "");
  CHECK(short_run(10) == "");
}

TEST_SUITE_END();
