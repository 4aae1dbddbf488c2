// A lock for public headers: <mutex> brings all of <chrono> into every program that includes weft.
#pragma once

#include <pthread.h>

namespace weft {

/// As std::mutex; see MutexLock.
class Mutex {
 public:
  Mutex() = default;
  ~Mutex() { ::pthread_mutex_destroy(&mutex_); }
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

 private:
  friend class MutexLock;
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
};

/// Holds a Mutex while it lives.
class MutexLock {
 public:
  explicit MutexLock(Mutex& m) : mutex_(&m.mutex_) { ::pthread_mutex_lock(mutex_); }
  ~MutexLock() { ::pthread_mutex_unlock(mutex_); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  pthread_mutex_t* mutex_;
};

}  // namespace weft
