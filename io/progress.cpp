#include "weft/io/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace weft::io {

namespace {

std::string clock_text(double seconds) {
  long s = static_cast<long>(seconds + 0.5);
  char text[32];
  if (s < 3600) std::snprintf(text, sizeof text, "%ld:%02ld", s / 60, s % 60);
  else std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
  return text;
}

/// Of steps in a second.
std::string rate_text(double rate) {
  char text[32];
  if (rate >= 100) std::snprintf(text, sizeof text, "  %.0f/s", rate);
  else if (rate >= 1) std::snprintf(text, sizeof text, "  %.3g/s", rate);
  else std::snprintf(text, sizeof text, "  %.3g s each", 1 / rate);
  return text;
}

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

size_t terminal_width() {
  winsize w{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
}

}  // namespace

Progress::Progress(std::string label, int64_t total, const ProgressOptions& o)
    : label_(std::move(label)),
      total_(std::max<int64_t>(1, total)),
      o_(o),
      terminal_(::isatty(STDERR_FILENO) == 1),
      begin_(now_s()),
      last_(begin_) {}

Progress::~Progress() {
  if (drawn_ && terminal_) std::fputc('\n', stderr);
}

bool Progress::shown() const {
  const double waited = now_s() - last_;
  return terminal_ ? !drawn_ || waited >= 0.1 : o_.line_seconds > 0 && waited >= o_.line_seconds;
}

void Progress::update(int64_t done, std::string_view note) {
  const bool ends = done >= total_ && (terminal_ || drawn_);
  if (!ends && !shown()) return;
  const double now = now_s();
  last_ = now;
  drawn_ = true;
  double elapsed = now - begin_;
  std::string text = "  " + std::to_string(done) + "/" + std::to_string(total_);
  if (!note.empty()) text += "  " + std::string(note);
  const auto made = static_cast<double>(done - o_.done_before);
  if (made > 0 && elapsed > 0) text += rate_text(made / elapsed);
  if (done >= total_) text += "  " + clock_text(elapsed);
  else if (made > 0) text += "  " + clock_text(elapsed / made * static_cast<double>(total_ - done)) + " left";
  if (!terminal_) {
    std::fputs((label_ + text + '\n').c_str(), stderr);
    return;
  }

  size_t width = terminal_width(), fixed = label_.size() + text.size() + 4;
  size_t bar = width > fixed + 8 ? std::min<size_t>(30, width - fixed) : 0;
  auto filled = static_cast<size_t>(static_cast<double>(bar) * static_cast<double>(std::min(done, total_)) /
                                    static_cast<double>(total_));
  std::string line = label_;
  if (bar) line += " [" + std::string(filled, '#') + std::string(bar - filled, '-') + "]";
  line = (line + text).substr(0, width - 1);
  std::fprintf(stderr, "\r%s\x1b[K", line.c_str());
  std::fflush(stderr);
}

}  // namespace weft::io
