#include "weft/core/fork.h"

#include <pthread.h>

#include <vector>

namespace weft::detail {
namespace {

std::mutex g_registration;

std::vector<std::mutex*>& held() {
  static auto* list = new std::vector<std::mutex*>;  // static objects that end may fork
  return *list;
}

void before_fork() {
  g_registration.lock();
  for (size_t i = held().size(); i > 0; --i) held()[i - 1]->lock();
}

void after_fork() {
  for (std::mutex* m : held()) m->unlock();
  g_registration.unlock();
}

[[maybe_unused]] const int g_handler = pthread_atfork(before_fork, after_fork, after_fork);

}  // namespace

void hold_over_fork(std::mutex& m) { held().push_back(&m); }
std::mutex& registration_mutex() { return g_registration; }

}  // namespace weft::detail
