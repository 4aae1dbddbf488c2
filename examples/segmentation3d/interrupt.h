// Ctrl-C and SIGTERM as a flag that long work looks at.
#pragma once

#include <csignal>

/// While it lives, Ctrl-C and SIGTERM set a flag; a second one ends the program as usual.
class InterruptFlag {
 public:
  InterruptFlag() : interrupt_(std::signal(SIGINT, set)), terminate_(std::signal(SIGTERM, set)) { signal() = 0; }
  ~InterruptFlag() {
    std::signal(SIGINT, interrupt_);
    std::signal(SIGTERM, terminate_);
  }
  InterruptFlag(const InterruptFlag&) = delete;
  InterruptFlag& operator=(const InterruptFlag&) = delete;
  bool raised() const { return signal() != 0; }

  /// What a program ends with that was told to stop, as shells have it (130, 143); 0 if it was not.
  static int exit_status() { return signal() ? 128 + signal() : 0; }

 private:
  using Handler = void (*)(int);
  static volatile std::sig_atomic_t& signal() {
    static volatile std::sig_atomic_t raised = 0;
    return raised;
  }
  static void set(int number) {
    signal() = number;
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
  }
  Handler interrupt_, terminate_;
};
