// Runs code in a child of fork(), and this test program again under other circumstances.
#pragma once

#include <doctest/doctest.h>

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace support {

/// What waitpid says of a process: its exit status, or minus the signal that ended it.
inline int ended(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/// f() in a child, which ends with the value that it returns, or after 60 s.
template <class F> int in_child(const F& f) {
  const pid_t child = fork();
  if (child != 0) return ended(child);
  alarm(60);
  _exit(f());
}

/// Starts the test case `name` (decorated with skip) in a new process with these variables; an empty value removes one.
/// `cores`: it may run on so many of the cores that there are; 0: all.
inline pid_t start_again(const std::string& name, const std::vector<std::pair<std::string, std::string>>& environment,
                         int cores = 0) {
  const pid_t child = fork();
  if (child != 0) return child;
  alarm(60);
  for (const auto& [key, value] : environment)
    value.empty() ? unsetenv(key.c_str()) : setenv(key.c_str(), value.c_str(), 1);
  if (cores) {
    cpu_set_t all, some;
    CPU_ZERO(&some);
    sched_getaffinity(0, sizeof all, &all);
    for (int i = 0; i < CPU_SETSIZE && cores > 0; ++i)
      if (CPU_ISSET(i, &all)) {
        CPU_SET(i, &some);
        --cores;
      }
    sched_setaffinity(0, sizeof some, &some);
  }
  const std::string filter = "-tc=" + name;
  execl("/proc/self/exe", "weft_test", filter.c_str(), "--no-skip", "--quiet", static_cast<char*>(nullptr));
  _exit(127);
}

/// The same, to its end.
inline int run_again(const std::string& name, const std::vector<std::pair<std::string, std::string>>& environment,
                     int cores = 0) {
  return ended(start_again(name, environment, cores));
}

/// What the test case prints in a new process as "KEY: [...]" where the environment also has `settings`, as a shell
/// takes them. `success`: the exit status must be 0.
inline std::string said_by_process(const std::string& settings, const std::string& test_case, const std::string& key,
                                   bool success = true) {
  const std::string self = std::filesystem::canonical("/proc/self/exe").string();
  const std::string command = settings + " '" + self + "' -tc='" + test_case + "' 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string text;
  char buffer[512];
  while (fgets(buffer, sizeof buffer, pipe)) text += buffer;
  const int status = pclose(pipe);
  INFO(text);
  CHECK(WIFEXITED(status));
  if (success) CHECK(WEXITSTATUS(status) == 0);
  const std::string begin = key + ": [";
  const size_t at = text.find(begin);
  REQUIRE(at != std::string::npos);
  return text.substr(at + begin.size(), text.find("]\n", at) - at - begin.size());
}

inline int cores() {
  cpu_set_t mask;
  sched_getaffinity(0, sizeof mask, &mask);
  return CPU_COUNT(&mask);
}

}  // namespace support
