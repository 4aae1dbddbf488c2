#include "weft/data/loader.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <limits>
#include <mutex>
#include <thread>

#include "weft/autograd/grad_mode.h"
#include "weft/core/fn/integer.h"
#include "weft/core/parallel.h"

namespace weft::data::impl {
namespace {

/// Signals go to the program's own threads: threads that are made while this lives get those of their own faults only.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGPROF}) sigdelset(&all, own);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

std::string sample_text(const FailedSample& sample, const std::string& error) {
  const bool named = !sample.name.empty() && error.find(sample.name) == std::string::npos;
  return str("sample ", sample.index, named ? ", " + sample.name : "");
}

}  // namespace

/// Batches 0, 1, 2, ..., made in their order by threads or, without threads, when they are asked for.
class Pipeline {
 public:
  using MakeBatch = std::function<Made(int64_t batch, const std::atomic<bool>& stop)>;

  Pipeline(int threads, int64_t ahead, int64_t batches, MakeBatch make)
      : make_(std::move(make)), batches_(batches), slots_(static_cast<size_t>(ahead)) {
    const SignalsBlocked blocked;
    try {
      for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
    } catch (const std::exception& e) {
      stop();
      raise<Error>("Loader: the system gives no thread for worker ", threads_.size(), ": ", e.what());
    }
  }
  ~Pipeline() { stop(); }
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  /// Not beyond the last one.
  Made next() {
    if (threads_.empty()) return make_(taken_++, stop_);
    std::unique_lock lock(mutex_);
    std::optional<Made>& slot = slot_of(taken_);
    ready_.wait(lock, [&] { return slot.has_value(); });
    Made made = std::move(*slot);
    slot.reset();
    ++taken_;
    room_.notify_one();
    return made;
  }

 private:
  void work() {
    set_num_threads(1);
    weft::detail::join_count();
    weft::detail::leave_binding();
    // Training's threads spin and wait for each other: a worker that takes one's core stops them all.
    const auto self = static_cast<id_t>(gettid());
    setpriority(PRIO_PROCESS, self, getpriority(PRIO_PROCESS, self) + 10);
    std::unique_lock lock(mutex_);
    for (;;) {
      room_.wait(lock,
                 [&] { return stop_ || begun_ == batches_ || begun_ - taken_ < static_cast<int64_t>(slots_.size()); });
      if (stop_ || begun_ == batches_) return;
      const int64_t batch = begun_++;
      lock.unlock();
      Made made = make_(batch, stop_);
      lock.lock();
      if (made.last) batches_ = begun_;
      slot_of(batch) = std::move(made);
      ready_.notify_one();
    }
  }
  std::optional<Made>& slot_of(int64_t batch) { return slots_[static_cast<size_t>(batch) % slots_.size()]; }
  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    room_.notify_all();
    for (std::thread& t : threads_) t.join();
  }

  MakeBatch make_;
  std::mutex mutex_;
  std::condition_variable ready_, room_;
  std::atomic<bool> stop_ = false;
  int64_t begun_ = 0, taken_ = 0, batches_;
  std::vector<std::optional<Made>> slots_;
  std::vector<std::thread> threads_;
};

struct LoaderCore::Run {
  Plan plan;
  int64_t batches;
  int64_t made = 0, given = 0, skipped = 0;
  bool whole = true;  // not the rest of an epoch
  bool ended = false;
  std::optional<Pipeline> pipeline;
};

struct SampleScope::Before {
  weft::detail::ThreadMode mode = weft::detail::thread_mode();
  Generator::State generator = default_generator().state();
  int threads = num_threads();
};
SampleScope::SampleScope() : before_(std::make_unique<Before>()) {
  weft::detail::thread_mode() = {};
  weft::detail::thread_mode().grad = false;
  if (before_->threads != 1) set_num_threads(1);
}
SampleScope::~SampleScope() {
  weft::detail::thread_mode() = before_->mode;
  default_generator().set_state(before_->generator);
  if (before_->threads != 1) set_num_threads(before_->threads);
}
Generator SampleScope::sample(const Plan& plan, int64_t position, int64_t index) {
  Generator g = sample_generator(plan.seed, plan.epoch, position, index);
  default_generator().set_state({g.state().seed, uint64_t{1} << 63});  // far from what g gives
  return g;
}

void skip(Made& made, const Plan& plan, const FailedSample& sample) noexcept try {
  const bool may_skip = plan.on_error == OnError::skip;
  const auto skipped = [&](const std::string& error) {
    if (may_skip) made.skipped.emplace_back(sample.index, error);
    return may_skip;
  };
  try {
    throw;
  } catch (Error& e) {
    e.add_context(sample_text(sample, e.what()));
    if (!dynamic_cast<OutOfMemory*>(&e) && skipped(e.what())) return;
  } catch (const std::bad_alloc&) {
    // no fault of the sample
  } catch (const std::exception& e) {
    if (skipped(str(e.what(), " (", sample_text(sample, e.what()), ")"))) return;
  } catch (...) {
    if (skipped(str("an exception of no standard type (", sample_text(sample, ""), ")"))) return;
  }
  made.error = std::current_exception();
  made.failed = sample;
} catch (...) { made.error = std::current_exception(); }

void fail(Made& made, const Plan& plan, int64_t begin, int64_t end) noexcept {
  constexpr int64_t kMost = 16;
  made.batch = nullptr;
  try {
    throw;
  } catch (Error& e) {
    try {
      std::string text;
      for (int64_t k = begin; k < std::min(end, begin + kMost) && k < std::ssize(plan.order); ++k)
        text += str(text.empty() ? "batch of the samples " : ", ", plan.order[static_cast<size_t>(k)]);
      if (!text.empty()) e.add_context(end - begin > kMost ? text + ", ..." : text);
    } catch (...) {}  // no memory for the text
  } catch (...) {}
  made.error = std::current_exception();
}

LoaderCore::LoaderCore(const LoaderOptions& o, std::function<int64_t()> size, Make make)
    : options_(o), size_(std::move(size)), make_(std::move(make)) {
  WEFT_CHECK(o.batch_size >= 1, ValueError, "Loader: batch_size must be at least 1, got ", o.batch_size);
  WEFT_CHECK(o.workers >= 0, ValueError, "Loader: workers must not be negative, got ", o.workers);
  WEFT_CHECK(o.prefetch >= 1, ValueError, "Loader: prefetch must be at least 1, got ", o.prefetch);
  WEFT_CHECK(!o.shuffle || !o.sampler, ValueError, "Loader: shuffle and sampler exclude each other");
  WEFT_CHECK(!stream() || (!o.shuffle && !o.sampler), ValueError,
             "Loader: a stream has an order of its own; leave out shuffle and sampler");
  if (o.shuffle) options_.sampler = RandomSampler();
  else if (!o.sampler) options_.sampler = SequentialSampler();
  seed_ = o.seed ? *o.seed : default_generator().below(uint64_t{1} << 63);
}
LoaderCore::~LoaderCore() = default;

void LoaderCore::check_idle(const char* what) const {
  WEFT_CHECK(loop_ == 0, ValueError, "Loader: a loop over this loader runs already; end it, or call stop(), before ",
             what);
}

int64_t LoaderCore::size() const {
  const int64_t n = options_.sampler->count(size_());
  return options_.drop_last ? n / options_.batch_size : fn::ceil_div(n, options_.batch_size);
}

uint64_t LoaderCore::begin() {
  check_idle("another begins");
  const bool next = !resumed_ && place_ > 0;  // the last loop was left in the middle
  const int64_t epoch = epoch_ + next, place = next ? 0 : place_, batch_size = options_.batch_size;
  auto run = std::make_unique<Run>();
  Plan& plan = run->plan;
  plan.seed = seed_, plan.epoch = epoch, plan.on_error = options_.on_error;
  int64_t size = 0, first = 0;
  if (stream()) {
    plan.begin = place;
    run->batches = std::numeric_limits<int64_t>::max();
  } else {
    size = size_();
    WEFT_CHECK(place == 0 || size == place_size_, ValueError, "Loader: the state that was loaded is of an epoch of ",
               place_size_, " samples, but the dataset has ", size);
    plan.order = options_.sampler->indices(size, seed_, epoch);
    const int64_t taken = std::ssize(plan.order);
    for (const int64_t i : plan.order)
      WEFT_CHECK(i >= 0 && i < size, ValueError, "Loader: ", options_.sampler->str(), " gives the index ", i,
                 " for a dataset of ", size, " samples");
    first = std::min(place, taken);
    run->batches = options_.drop_last ? (taken - first) / batch_size : fn::ceil_div(taken - first, batch_size);
  }
  run->whole = place == 0;
  const int64_t n = stream() ? std::numeric_limits<int64_t>::max() : std::ssize(plan.order);
  const int threads = static_cast<int>(
      std::min<int64_t>(stream() ? std::min(options_.workers, 1) : options_.workers, run->batches));
  run->pipeline.emplace(threads, std::max(threads, 1) * options_.prefetch, run->batches,
                        [this, &plan, first, batch_size, n](int64_t batch, const std::atomic<bool>& stop) {
                          const int64_t begin = first + batch * batch_size;
                          return make_(plan, begin, begin + std::min(n - begin, batch_size), stop);
                        });
  epoch_ = epoch, place_ = place, place_size_ = size, resumed_ = false, by_calls_ = false;
  run_ = std::move(run);
  return loop_ = ++loops_;
}

std::shared_ptr<void> LoaderCore::next(uint64_t loop) {
  if (loop != loop_) return nullptr;
  Run& run = *run_;
  while (run.made < run.batches && !run.ended) {
    Made made = run.pipeline->next();
    ++run.made;
    run.ended = made.last;
    place_ += made.samples;
    run.skipped += static_cast<int64_t>(made.skipped.size());
    tell(made);
    if (made.error) {
      failed_ = made.failed;
      std::rethrow_exception(made.error);
    }
    if (!made.batch) continue;
    ++run.given;
    return made.batch;
  }
  const int64_t skipped = run.whole && run.given == 0 ? run.skipped : 0;
  stop();
  ++epoch_;
  place_ = 0;
  WEFT_CHECK(skipped == 0, Error, "Loader: all ", skipped, " samples of the epoch were skipped");
  return nullptr;
}

std::shared_ptr<void> LoaderCore::next_call() {
  if (loop_ == 0) {
    begin();
    by_calls_ = true;
  }
  if (!by_calls_) check_idle("next()");
  return next(loop_);
}

void LoaderCore::tell(const Made& made) {
  for (const auto& [index, error] : made.skipped) {
    const auto i = static_cast<size_t>(index);
    if (i >= told_.size()) told_.resize(i + 1);
    if (told_[i]) continue;
    told_[i] = true;
    if (options_.on_skip) options_.on_skip(error);
    else std::fprintf(stderr, "skipped: %s\n", error.c_str());
  }
}

void LoaderCore::stop(uint64_t loop) noexcept {
  if (loop == loop_) stop();
}
void LoaderCore::stop() noexcept {
  run_.reset();
  loop_ = 0;
}

StateDict LoaderCore::state_dict() const {
  StateDict state;
  const auto number = [&](const char* name, int64_t value) { state.insert(name, tensor(value, Dtype::i64)); };
  number("epoch", epoch_);
  number("position", place_);
  number("size", place_size_);
  number("seed", std::bit_cast<int64_t>(seed_));
  state.metadata["order"] = stream() ? "stream" : options_.sampler->order();
  if (!stream()) number("ranks", options_.sampler->ranks());
  return state;
}

void LoaderCore::load_state_dict(const StateDict& state) {
  check_idle("a state is loaded");
  const auto number = [&](const char* name, int64_t least) {
    const auto value = state.at(name).item<int64_t>();
    WEFT_CHECK(value >= least, ValueError, "Loader: the state's ", name, " is ", value);
    return value;
  };
  const int64_t epoch = number("epoch", 0), saved_place = number("position", 0), size = number("size", 0);
  const int64_t seed = number("seed", std::numeric_limits<int64_t>::min());
  const auto order = state.metadata.find("order");
  const std::string own = stream() ? "stream" : options_.sampler->order();
  WEFT_CHECK(order != state.metadata.end() && order->second == own, ValueError, "Loader: the state is of ",
             order == state.metadata.end() ? "no loader" : order->second, ", but this loader has ", own);
  // The same place of the epoch for another number of ranks, each of which goes through a larger or smaller share.
  const int64_t ranks = stream() ? 1 : options_.sampler->ranks(),
                saved_ranks = state.contains("ranks") ? number("ranks", 1) : ranks;
  const int64_t place = ranks == saved_ranks ? saved_place : saved_place * saved_ranks / ranks;
  epoch_ = epoch, place_ = place, place_size_ = size, seed_ = std::bit_cast<uint64_t>(seed), resumed_ = true;
}

}  // namespace weft::data::impl
