// Ctrl-C as a flag that long work looks at.
#pragma once

#include <csignal>

/// While it lives, Ctrl-C sets a flag; a second one ends the program as usual.
class InterruptFlag {
 public:
  InterruptFlag() {
    flag() = 0;
    std::signal(SIGINT, [](int) {
      flag() = 1;
      std::signal(SIGINT, SIG_DFL);
    });
  }
  ~InterruptFlag() { std::signal(SIGINT, SIG_DFL); }
  InterruptFlag(const InterruptFlag&) = delete;
  InterruptFlag& operator=(const InterruptFlag&) = delete;
  bool raised() const { return flag() != 0; }

 private:
  static volatile std::sig_atomic_t& flag() {
    static volatile std::sig_atomic_t raised = 0;
    return raised;
  }
};
